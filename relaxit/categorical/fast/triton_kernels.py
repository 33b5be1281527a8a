r"""Triton kernels of the Concrete draw, forward and backward, with one pass over memory each.

A program holds ``TILE`` complete rows of ``K`` categories, padded to ``BLOCK`` columns, in
registers. The noise is a function of the seed and the position, so it is neither stored nor read:
Philox 4x32-10 with the seed as its key and (row, row >> 32, column // 4, 0) as its counter gives
four words of 32 bits, one for each of four neighbouring columns. It does not depend on the tiling.

With u = (word + 1/2) / 2^32 the Gumbel variable is ``-log(-log(1 - u))``. The largest come from
small u, so that end needs the precision: u is formed from integers, also near 1, and for small u
the inner logarithm is a series. Gumbel values lie in [-3.13, 22.87]; a mass of 2^-32 is cut off at
either end.

This file imports Triton; :mod:`relaxit.categorical.fast.cuda` imports this file when needed.

Reference: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra import libdevice

__all__ = ["draw", "pull"]

_ELEMENTS = 2048
"""Elements of a tile, with padding, if rows are short enough to share a tile."""
_THREAD = 16
"""Elements per thread; more if the block has the maximal number of threads."""


_QUICK = tl.constexpr(not triton.knobs.runtime.interpret)
"""The interpreter does not support the functions of the device library."""


@triton.jit
def log_of(x: tl.tensor) -> tl.tensor:
    """Compute the fast logarithm of the device.

    Its error is at most 2e-7, absolute between 1/2 and 2 and relative elsewhere. It takes a fifth
    of the instructions of the exact logarithm, which would be a third of all instructions.
    """
    if _QUICK:
        return libdevice.fast_logf(x)
    return tl.log(x)


@triton.jit
def gumbel_of(word: tl.tensor) -> tl.tensor:
    """Convert uniform 32-bit words to standard Gumbel values in float32."""
    upper = word >= 0x80000000
    # The distance to the nearer end of the unit interval, exact there: in (0, 1/2].
    end = tl.where(upper, word ^ 0xFFFFFFFF, word).to(tl.float32) * 2.0**-32 + 2.0**-33
    series = 1 / 4 + end * (1 / 5 + end * (1 / 6 + end * (1 / 7 + end / 8)))
    series = end * (1 + end * (1 / 2 + end * (1 / 3 + end * series)))  # -log(1 - end)
    exponential = -log_of(tl.where(upper, end, 1 - end))
    return -log_of(tl.where((end < 1 / 8) & (word < 0x80000000), series, exponential))


@triton.jit
def noise_of(seed: tl.tensor, row: tl.tensor, TILE: tl.constexpr, BLOCK: tl.constexpr) -> tl.tensor:
    """Compute the Gumbel noise ``[TILE, BLOCK]`` of the rows with these numbers."""
    zero = tl.zeros([TILE, BLOCK // 4], tl.uint32)
    low = row.to(tl.uint32)[:, None] + zero
    high = (row >> 32).to(tl.uint32)[:, None] + zero
    group = tl.arange(0, BLOCK // 4).to(tl.uint32)[None, :] + zero
    first, second, third, fourth = tl.philox(seed, low, high, group, zero)
    words = tl.join(tl.join(first, third), tl.join(second, fourth))  # innermost: the 1st, the 2nd
    return gumbel_of(words.reshape(TILE, BLOCK))


@triton.jit(do_not_specialize=["rows", "total"])
def draw_program(
    params: tl.tensor,
    temperature: tl.tensor,
    seed: tl.tensor,
    soft: tl.tensor,
    hard: tl.tensor,
    rows: tl.tensor,
    total: tl.tensor,
    K: tl.constexpr,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
    LEAST: tl.constexpr,
    REPEATED: tl.constexpr,
    PER_ROW: tl.constexpr,
    NUMBER: tl.constexpr,
    SOFT: tl.constexpr,
    HARD: tl.constexpr,
) -> None:
    """Draw soft and hard samples. Row i of ``total`` has the logits of row i % ``rows``."""
    start = tl.program_id(0).to(tl.int64) * TILE
    line, column = tl.arange(0, TILE), tl.arange(0, BLOCK)
    here = line[:, None] * K + column[None, :]
    there = (start + line < total)[:, None] & (column < K)[None, :]
    if REPEATED:
        source = ((start % rows).to(rows.dtype) + line) % rows
        logits = params + source[:, None].to(tl.int64) * K + column[None, :]
    else:
        source = start + line
        logits = params + start * K + here
    s = tl.load(logits, mask=there, other=float("-inf")).to(tl.float32)
    s += noise_of(tl.load(seed), start + line, TILE, BLOCK)
    ranked = tl.where(s == s, s, float("inf"))  # a NaN is the largest, as in torch
    top = tl.max(ranked, 1)
    if HARD:
        winner = tl.min(tl.where(ranked == top[:, None], column[None, :], BLOCK), 1)
        value = (column[None, :] == winner[:, None]).to(tl.float32)
        tl.store(hard + start * K + here, value.to(hard.dtype.element_ty), mask=there)
    if SOFT:
        if NUMBER:
            tau = temperature + tl.zeros([TILE], tl.float32)
        elif PER_ROW:
            tau = tl.load(temperature + source, mask=start + line < total, other=1.0)
        else:
            tau = tl.load(temperature) + tl.zeros([TILE], tl.float32)
        e = tl.exp((s - top[:, None]) * (1.0 / tau.to(tl.float32))[:, None])
        y = e * (1.0 / tl.sum(e, 1))[:, None]
        y = tl.where((s > float("-inf")) & (y < LEAST), LEAST, y)
        tl.store(soft + start * K + here, y.to(soft.dtype.element_ty), mask=there)


@triton.jit(do_not_specialize=["rows", "total"])
def pull_program(
    grad: tl.tensor,
    soft: tl.tensor,
    temperature: tl.tensor,
    out: tl.tensor,
    rows: tl.tensor,
    total: tl.tensor,
    K: tl.constexpr,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
    REPEATED: tl.constexpr,
    PER_ROW: tl.constexpr,
    NUMBER: tl.constexpr,
) -> None:
    """Compute the gradient in the logits of a row, ``y (g - <g, y>) / temperature``."""
    start = tl.program_id(0).to(tl.int64) * TILE
    line, column = tl.arange(0, TILE), tl.arange(0, BLOCK)
    here = start * K + (line[:, None] * K + column[None, :])
    there = (start + line < total)[:, None] & (column < K)[None, :]
    y = tl.load(soft + here, mask=there, other=0.0).to(tl.float32)
    g = tl.load(grad + here, mask=there, other=0.0).to(tl.float32)
    if NUMBER:
        tau = temperature + tl.zeros([TILE], tl.float32)
    elif PER_ROW:
        source = start + line
        if REPEATED:
            source = ((start % rows).to(rows.dtype) + line) % rows
        tau = tl.load(temperature + source, mask=start + line < total, other=1.0)
    else:
        tau = tl.load(temperature) + tl.zeros([TILE], tl.float32)
    # Divided by the sum of the stored values, which rounding to a short dtype has moved away from
    # 1, so that a constant in g has no gradient.
    mean = tl.sum(g * y, 1) / tl.sum(y, 1)
    x = y * (g - mean[:, None]) * (1.0 / tau.to(tl.float32))[:, None]
    tl.store(out + here, x.to(out.dtype.element_ty), mask=there)


def draw(
    params: Tensor,
    temperature: Tensor | float,
    seed: Tensor,
    soft: Tensor,
    hard: Tensor,
    least: float,
) -> None:
    """Fill ``soft`` and ``hard`` (``[copies * rows, K]``; skipped if empty).

    Args:
        params: logits ``[rows, K]``, contiguous; K at least 2.
        temperature: a number, or a tensor of one element or of ``rows``, contiguous.
        seed: int64 tensor of one element, on the device of params.
        soft, hard: contiguous outputs.
        least: lower bound of the soft values of categories that are not masked.
    """
    rows, k = params.shape
    total = max(soft.numel(), hard.numel()) // k
    tile, settings = tiling(k)
    with _on(params):
        draw_program[(triton.cdiv(total, tile),)](
            params,
            temperature,
            seed,
            soft,
            hard,
            rows,
            total,
            LEAST=least,
            SOFT=soft.numel() > 0,
            HARD=hard.numel() > 0,
            **_sources(temperature, rows, total),
            **settings,
        )


def pull(grad: Tensor, soft: Tensor, temperature: Tensor | float, rows: int, out: Tensor) -> None:
    """Fill ``out`` with the gradient in the logits of each row; all ``[copies * rows, K]``."""
    total, k = soft.shape
    tile, settings = tiling(k)
    with _on(soft):
        pull_program[(triton.cdiv(total, tile),)](
            grad,
            soft,
            temperature,
            out,
            rows,
            total,
            **_sources(temperature, rows, total),
            **settings,
        )


def tiling(k: int) -> tuple[int, dict[str, Any]]:
    """Return the rows per program, and the compile-time settings for K categories."""
    block = max(4, triton.next_power_of_2(k))
    tile = max(1, _ELEMENTS // block)
    warps = min(32, max(1, tile * block // (32 * _THREAD)))
    # Explicit, because Triton plans to change the default.
    compiler = {"num_warps": warps, "enable_fp_fusion": True}
    return tile, {"K": k, "BLOCK": block, "TILE": tile, **compiler}


def _sources(temperature: Tensor | float, rows: int, total: int) -> dict[str, bool]:
    return {
        "REPEATED": total > rows,
        "PER_ROW": isinstance(temperature, Tensor) and temperature.numel() > 1,
        "NUMBER": not isinstance(temperature, Tensor),
    }


def _on(tensor: Tensor) -> AbstractContextManager[Any]:
    # A program runs on the current device, which may not be that of the tensors.
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()
