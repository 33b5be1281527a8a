r"""The Triton program of Sinkhorn's iterations: one matrix per program, held in registers.

The iterations are those of :mod:`relaxit_permutation.sinkhorn.sweeps`, on ``K = exp(x + u + v)``:

    a = rows / (K b),    b = columns / (K^T a),

and each matrix stops by itself when its sums are accurate, without synchronisation.

An entry that is too small for K matters only after the scalings have grown correspondingly. Before
they can, they are absorbed into u and v, and K is recomputed. Here this is checked after each
iteration, so that no bound on the growth is needed, and denormal numbers cost nothing.

This file imports Triton, so :mod:`relaxit_permutation.sinkhorn.cuda` imports it only when needed.
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
"""Growth of the scalings at which they are absorbed. A float32 below 1e-38 is 0; by then, entries
left out contribute less than 1e-21, and at most n^2 times that one iteration later."""
_THREAD = 16
"""Number of entries per thread."""


@triton.jit
def kernel_of(
    x: tl.tensor,
    u: tl.tensor,
    v: tl.tensor,
    here: tl.tensor,
    there: tl.tensor,
) -> tl.tensor:
    """Compute ``exp(x + u + v)``, and 0 in the padding."""
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
    """Compute ``p``, potentials ``left`` and ``top`` and error ``off`` for one matrix of x."""
    number = tl.program_id(0).to(tl.int64)
    i, j = tl.arange(0, HIGH), tl.arange(0, WIDE)
    down, across = number * M + i, number * N + j
    here = i[:, None] * N + j[None, :]
    there = (i < M)[:, None] & (j < N)[None, :]
    # The desired sums of the padding are 1 and, below, its actual sums are 1 too.
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
        # Column sums are exact after the first iteration; this is the remaining error of the rows.
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
    # Maxima ignore NaN, sums do not.
    nothing = tl.sum(wrong, 0) * 0.0 + tl.sum(askew, 0) * 0.0
    tl.store(off + number, tl.maximum(tl.max(wrong, 0), tl.max(askew, 0)) + nothing)
    tl.store(p + number * M * N + here, k, mask=there)
    tl.store(left + down, shift + tl.log(a), mask=i < M)
    tl.store(top + across, lift + tl.log(b), mask=j < N)


def sweep(
    x: Tensor, u: Tensor, v: Tensor, rows: Tensor, columns: Tensor, iterations: int, aim: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run :func:`relaxit_permutation.sinkhorn.sweeps.sweep` in float32."""
    batch, m, n = x.shape
    inputs = tuple(tensor.contiguous() for tensor in (x, u, v, rows, columns))
    p, left, top = (torch.empty_like(tensor) for tensor in inputs[:3])
    off = x.new_empty(batch)
    device: AbstractContextManager[Any] = nullcontext()
    if x.is_cuda:  # a program runs on the current device, which may not be that of the tensors
        device = torch.cuda.device(x.device)
    with device:
        sweep_program[(batch,)](*inputs, p, left, top, off, iterations, aim, **tiling(m, n))
    return p, left, top, off


def tiling(m: int, n: int) -> dict[str, int]:
    """Return the compile-time arguments for a matrix size."""
    high, wide = triton.next_power_of_2(m), triton.next_power_of_2(n)
    warps = min(32, max(1, high * wide // (32 * _THREAD)))
    # Set explicitly, because Triton plans to change the default.
    compiler = {"num_warps": warps, "enable_fp_fusion": True}
    return {"M": m, "N": n, "HIGH": high, "WIDE": wide, **compiler}
