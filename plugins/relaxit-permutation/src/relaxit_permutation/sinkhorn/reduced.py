r"""Scores reduced by the potentials of their best matching, for the ends of the range.

At temperatures far below the differences of scores, the potentials of Sinkhorn's operator are so
large that their rounding errors dominate the result, or scores / temperature overflows. Then the
potentials of the assignment problem are applied first, in float64:

    c_ij = scores_ij + u_i + v_j <= 0,      = 0 on a best matching.

Adding constants to rows and columns does not change the result. The potentials that c / temperature
still needs are small.

An entry is negligible, and is left out, if the best matching that contains it is far below the best
matching. Finding these entries is necessary and not only a saving: c is also 0 at some entries that
are in no best matching, and if they were kept while everything below were dropped, the limit of the
matrix would not be reached with finite potentials.

Reference: Ahuja, Magnanti, Orlin, "Network Flows", 1993, chapters 9 and 12 (longest paths as
duals).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from relaxit_permutation.matrices.assignment import assign, matchable
from relaxit_permutation.matrices.batching import in_front

__all__ = ["reduced", "shifts"]

_LOST = 100.0
"""Deficit to the best matching, in temperatures per item, at which a matching is negligible:
exp(-100) per entry."""
_UNIT = 2.0**64
"""Divisor of scores, a power of two that changes no digits, so that their sums do not overflow."""


@torch.library.custom_op("relaxit_permutation::shifts", mutates_args=())
def shifts(scores: Tensor, temperature: Tensor, copies: int) -> Tensor:
    """Return shifts that make scores 0 on a best matching and nowhere positive.

    Args:
        scores: scores ``[..., m, n]``; ``-inf`` excludes an entry.
        temperature: positive tensor that broadcasts to ``[..., 1, 1]``.
        copies: number of rows that the last row represents, so that there are n rows in total.

    Returns:
        ``[..., m, n]`` in float64: finite, or ``-inf`` where an entry is negligible. 0 for a matrix
        without a best matching.
    """
    batch, (m, n) = scores.shape[:-2], scores.shape[-2:]
    x = scores.to("cpu", torch.float64).reshape(-1, m, n)
    cold = temperature.to("cpu", torch.float64).expand(*batch, 1, 1).reshape(-1, 1, 1)
    c, _ = reduced(x, cold, copies)
    # Unchanged entries may be infinite.
    shift = torch.where(c == x, 0.0, c - x)
    return shift.reshape(scores.shape).to(scores.device)


@shifts.register_fake
def _(scores: Tensor, temperature: Tensor, copies: int) -> Tensor:
    return torch.empty_like(scores, dtype=torch.float64, memory_format=torch.contiguous_format)


@shifts.register_vmap
def _(
    info: Any, in_dims: tuple[int | None, ...], scores: Tensor, temperature: Tensor, copies: int
) -> tuple[Tensor, int]:
    batched = in_front(scores, in_dims[0], info.batch_size, 0)
    cold = in_front(temperature, in_dims[1], info.batch_size, batched.dim())
    return shifts(batched, cold, copies), 0


def _sound(x: Tensor, copies: int) -> Tensor:  # [B, m, n] -> [B] of bool
    """Whether there is a best matching."""
    legal = ~(x.isnan() | (x == torch.inf)).flatten(1).any(1)
    return legal & matchable(_square(x > -torch.inf, copies))


def _square(x: Tensor, copies: int) -> Tensor:  # [B, m, n] -> [B, n, n]
    """Repeat the last row as many times as it represents rows."""
    last = x[:, -1:].expand(-1, copies - 1, -1)
    return torch.cat([x, last], 1) if copies > 1 else x


def reduced(x: Tensor, temperature: Tensor, copies: int) -> tuple[Tensor, Tensor]:
    """Return reduced scores and the column potentials that reduce them.

    Args:
        x: scores ``[B, m, n]``, float64 on the CPU.
        temperature: temperatures ``[B, 1, 1]``, float64 on the CPU.
        copies: as for :func:`shifts`.

    Returns:
        Reduced scores c ``[B, m, n]``, at most 0 and ``-inf`` where an entry is negligible, and
        potentials v ``[B, 1, n]``. A matrix without a best matching stays unchanged.
    """
    c, v = x.clone(), torch.zeros_like(x[:, :1])
    sound = _sound(x, copies).nonzero().squeeze(-1)
    if len(sound):
        c[sound], v[sound] = _reduced(x[sound], temperature[sound], copies)
    return c, v


def _reduced(x: Tensor, temperature: Tensor, copies: int) -> tuple[Tensor, Tensor]:
    m, n = x.shape[1:]
    s = _square(x / _UNIT, copies)
    best = assign(s)
    column, row = best.argmax(-1, keepdim=True), best.argmax(-2).unsqueeze(-1)
    # Gain from column to column: of the row matched to the first if moved to the second.
    gains = (s - s.gather(-1, column)).gather(-2, row.expand_as(s))
    v = -_longest_to(gains)
    u = -s.gather(-1, column) - v.mT.gather(-2, column)
    c = _settled(s, u, v)
    lengths = _longest(c.gather(-2, row.expand_as(s)))
    # The path back closes the cycle: how far the best matching with this entry is below the best.
    below = c + lengths.mT.gather(-2, column.expand_as(s))
    relevant = below / temperature * _UNIT >= -_LOST * n
    c = torch.where(relevant, c * _UNIT, -torch.inf)
    return c[:, :m], v * _UNIT


def _settled(s: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Compute ``s + u + v``, with rounding errors set to 0."""
    c = (s + u + v).clamp_max_(0.0)
    rounding = (4 * s.shape[-1] * torch.finfo(s.dtype).eps) * (s.abs() + u.abs() + v.abs())
    return torch.where((c >= -rounding) & (s > -torch.inf), 0.0, c)


def _longest_to(gains: Tensor) -> Tensor:  # [B, n, n] -> [B, 1, n]
    """Return the length, at least 0, of the longest path to each column from any other."""
    v = torch.zeros_like(gains[:, :1])
    for _ in range(gains.shape[-1]):
        longer = torch.maximum(v, (v.mT + gains).amax(-2, keepdim=True))
        if torch.equal(longer, v):
            break
        v = longer
    return v


def _longest(gains: Tensor) -> Tensor:  # [B, n, n] -> same
    """Return the length of the longest path between each pair of columns; gains are at most 0."""
    lengths = gains.clone()
    for k in range(gains.shape[-1]):
        lengths = torch.maximum(lengths, lengths[:, :, k : k + 1] + lengths[:, k : k + 1])
    return lengths
