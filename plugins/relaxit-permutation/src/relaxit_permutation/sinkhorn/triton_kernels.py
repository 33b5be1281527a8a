r"""The Triton program of Sinkhorn's iterations: one matrix a program, held in registers throughout.

The iterations are those of :mod:`relaxit_permutation.sinkhorn.sweeps`, on ``K = exp(x + u + v)``:

    a = rows / (K b),    b = columns / (K^T a),

and end when the sums are right, each matrix by itself, without anybody waiting to hear of it.

An entry that is too small for K matters only once the scalings have grown by as much. Before they
can have, they are absorbed into u and v, and K is formed anew. Here that is looked at after each
iteration, so that no bound on the growth is needed; denormal numbers cost nothing.

This file imports Triton; :mod:`relaxit_permutation.sinkhorn.cuda` imports it when it is needed.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["sweep"]

_ROOM = tl.constexpr(1e17)
"""Growth of the scalings at which they are absorbed. A float32 below 1e-38 is 0; what was left out
counts less than 1e-21 by then, and at most n^2 times that an iteration later."""
_THREAD = 16
"""Entries a thread holds."""


@triton.jit
def kernel_of(
    x: tl.tensor,
    u: tl.tensor,
    v: tl.tensor,
    here: tl.tensor,
    there: tl.tensor,
) -> tl.tensor:
    """``exp(x + u + v)``; 0 in the padding."""
    return tl.exp(tl.load(x + here, mask=there, other=float("-inf")) + u[:, None] + v[None, :])


@triton.jit
def sweep_program(
    x: tl.tensor,
    u: tl.tensor,
    v: tl.tensor,
    rows: tl.tensor,
    columns: tl.tensor,
    p: tl.tensor,
    left: tl.tensor,
    top: tl.tensor,
    off: tl.tensor,
    iterations: tl.tensor,
    aim: tl.tensor,
    M: tl.constexpr,
    N: tl.constexpr,
    HIGH: tl.constexpr,
    WIDE: tl.constexpr,
) -> None:
    """Matrix ``p``, potentials ``left`` and ``top`` and error ``off`` of one ``[M, N]`` of x."""
    number = tl.program_id(0).to(tl.int64)
    i, j = tl.arange(0, HIGH), tl.arange(0, WIDE)
    down, across = number * M + i, number * N + j
    here = i[:, None] * N + j[None, :]
    there = (i < M)[:, None] & (j < N)[None, :]
    # Padding has sums of 1 that are asked of it and, below, found in it.
    r = tl.load(rows + down, mask=i < M, other=1.0)
    c = tl.load(columns + across, mask=j < N, other=1.0)
    pad_row, pad_column = (i >= M).to(tl.float32), (j >= N).to(tl.float32)
    shift = tl.load(u + down, mask=i < M, other=0.0)
    lift = tl.load(v + across, mask=j < N, other=0.0)
    k = kernel_of(x + number * M * N, shift, lift, here, there)
    a, b = tl.full([HIGH], 1.0, tl.float32), tl.full([WIDE], 1.0, tl.float32)
    done, worst = 0, float("inf")
    while (done < iterations) & (worst > aim):
        sums = tl.sum(k * b[None, :], 1) + pad_row
        # Columns are right after the first iteration; this is what it left of the rows.
        error = tl.max(tl.abs(a * sums / r - 1.0), 0)
        worst = tl.where(done > 0, error, float("inf"))
        a = r / sums
        b = c / (tl.sum(k * a[:, None], 0) + pad_column)
        done += 1
        most, widest = tl.max(a, 0), tl.max(b, 0)
        if (most > _ROOM) | (widest > _ROOM) | (most * widest > _ROOM):
            shift += tl.log(a)
            lift += tl.log(b)
            k = kernel_of(x + number * M * N, shift, lift, here, there)
            a, b = tl.full([HIGH], 1.0, tl.float32), tl.full([WIDE], 1.0, tl.float32)
    k = k * a[:, None] * b[None, :]
    wrong = tl.abs((tl.sum(k, 1) + pad_row) / r - 1.0)
    askew = tl.abs((tl.sum(k, 0) + pad_column) / c - 1.0)
    # Maxima skip a NaN; sums do not.
    nothing = tl.sum(wrong, 0) * 0.0 + tl.sum(askew, 0) * 0.0
    tl.store(off + number, tl.maximum(tl.max(wrong, 0), tl.max(askew, 0)) + nothing)
    tl.store(p + number * M * N + here, k, mask=there)
    tl.store(left + down, shift + tl.log(a), mask=i < M)
    tl.store(top + across, lift + tl.log(b), mask=j < N)


def sweep(
    x: Tensor, u: Tensor, v: Tensor, rows: Tensor, columns: Tensor, iterations: int, aim: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As :func:`relaxit_permutation.sinkhorn.sweeps.sweep`, in float32."""
    batch, m, n = x.shape
    given = tuple(each.contiguous() for each in (x, u, v, rows, columns))
    p, left, top = (torch.empty_like(each) for each in given[:3])
    off = x.new_empty(batch)
    device: AbstractContextManager[Any] = nullcontext()
    if x.is_cuda:  # a program runs on the current device, which need not be the tensors'
        device = torch.cuda.device(x.device)
    with device:
        sweep_program[(batch,)](*given, p, left, top, off, iterations, aim, **tiling(m, n))
    return p, left, top, off


def tiling(m: int, n: int) -> dict[str, int]:
    """What the compiler is told about a size."""
    high, wide = triton.next_power_of_2(m), triton.next_power_of_2(n)
    warps = min(32, max(1, high * wide // (32 * _THREAD)))
    # Said, because Triton means to change what it does where nothing is.
    compiler = {"num_warps": warps, "enable_fp_fusion": True}
    return {"M": m, "N": n, "HIGH": high, "WIDE": wide, **compiler}
