"""Runs the Triton programs on the CPU, in Triton's interpreter: ``python -m ... INPUT OUTPUT``.

The interpreter has to be asked for before Triton is imported, hence a process of its own. INPUT and
OUTPUT are lists of what went in and came out, as saved by torch.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"

import torch
import triton
import triton.language as tl

from relaxit.categorical.fast import triton_kernels


@triton.jit
def noise_program(seed: tl.tensor, start: tl.tensor, out: tl.tensor, BLOCK: tl.constexpr) -> None:
    line, column = tl.arange(0, 4), tl.arange(0, BLOCK)
    noise = triton_kernels.noise_of(tl.load(seed), tl.load(start) + line, 4, BLOCK)
    tl.store(out + line[:, None] * BLOCK + column[None, :], noise)


@triton.jit
def gumbel_program(words: tl.tensor, out: tl.tensor, SIZE: tl.constexpr) -> None:
    here = tl.arange(0, SIZE)
    tl.store(out + here, triton_kernels.gumbel_of(tl.load(words + here).to(tl.uint32)))


def run(case: dict[str, Any]) -> dict[str, torch.Tensor]:
    match case["what"]:
        case "draw":
            params, copies = case["params"], case["copies"]
            full = (copies * len(params), params.shape[1])
            soft = params.new_full(full if case["soft"] else (0,), 7.0)
            hard = params.new_full(full if case["hard"] else (0,), 7.0)
            triton_kernels.draw(
                params, case["temperature"], case["seed"], soft, hard, case["least"]
            )
            return {"soft": soft, "hard": hard}
        case "pull":
            out = torch.full_like(case["soft"], 7.0)
            triton_kernels.pull(case["grad"], case["soft"], case["temperature"], case["rows"], out)
            return {"out": out}
        case "noise":
            out = torch.empty(4, 8)
            noise_program[(1,)](case["seed"], case["start"], out, BLOCK=8)
            return {"out": out}
        case "gumbel":
            out = torch.empty(len(case["words"]))
            gumbel_program[(1,)](case["words"], out, SIZE=len(out))
            return {"out": out}
    raise ValueError(case["what"])


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # numpy's, about rows of padding
    torch.save([run(case) for case in torch.load(sys.argv[1])], sys.argv[2])
