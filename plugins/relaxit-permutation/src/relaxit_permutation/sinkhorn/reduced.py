r"""Scores less the potentials of their best matching: for the ends of the range.

Far below the differences of scores, the potentials of Sinkhorn's operator are so large that their
rounding decides what is left, or scores over the temperature overflow. Then the potentials of the
assignment problem come first, in float64:

    c_ij = scores_ij + u_i + v_j <= 0,      = 0 on a best matching.

What is added to rows and columns changes nothing of what is looked for. The potentials that c /
temperature still needs are small.

An entry whose best matching is far below the best one counts nothing, and is left out. To know them
is needed, not only cheap: c is 0 at entries of no best matching too, and with them in place of
everything below, the matrix would have a limit that no finite potentials reach.

Reference: Ahuja, Magnanti, Orlin, "Network Flows", 1993, chapters 9 and 12 (longest ways as duals).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from relaxit_permutation.matrices.assignment import assign, matchable
from relaxit_permutation.matrices.batching import in_front

__all__ = ["reduced", "shifts"]

_LOST = 100.0
"""Temperatures for each item of a matching, by which it is so far below the best that it counts
nothing: exp(-100) an entry."""
_UNIT = 2.0**64
"""Scores are divided by it, which changes no digit, so that sums of them do not overflow."""


@torch.library.custom_op("relaxit_permutation::shifts", mutates_args=())
def shifts(scores: Tensor, temperature: Tensor, copies: int) -> Tensor:
    """What to add to scores so that they are 0 on a best matching and nowhere above.

    Args:
        scores: ``[..., m, n]``; ``-inf`` excludes an entry.
        temperature: positive, broadcasts to ``[..., 1, 1]``.
        copies: how many rows the last one stands for, so that there are n.

    Returns:
        ``[..., m, n]`` in float64, finite; ``-inf`` where an entry counts nothing. 0 for a matrix
        that has no best matching.
    """
    batch, (m, n) = scores.shape[:-2], scores.shape[-2:]
    x = scores.to("cpu", torch.float64).reshape(-1, m, n)
    cold = temperature.to("cpu", torch.float64).expand(*batch, 1, 1).reshape(-1, 1, 1)
    c, _ = reduced(x, cold, copies)
    # What is left as it was may be infinite.
    found = torch.where(c == x, 0.0, c - x)
    return found.reshape(scores.shape).to(scores.device)


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
    """With the last row as often as it is meant."""
    last = x[:, -1:].expand(-1, copies - 1, -1)
    return torch.cat([x, last], 1) if copies > 1 else x


def reduced(x: Tensor, temperature: Tensor, copies: int) -> tuple[Tensor, Tensor]:
    """Reduced scores, and the potentials of columns that reduce them.

    Args:
        x: ``[B, m, n]``, float64 on the CPU.
        temperature: ``[B, 1, 1]``, likewise.
        copies: as for :func:`shifts`.

    Returns:
        c ``[B, m, n]``, never above 0, ``-inf`` where an entry counts nothing; v ``[B, 1, n]``. A
        matrix that has no best matching stays as it is.
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
    # From column to column: what the row that has the one would gain by the other.
    ways = (s - s.gather(-1, column)).gather(-2, row.expand_as(s))
    v = -_longest_to(ways)
    u = -s.gather(-1, column) - v.mT.gather(-2, column)
    c = _settled(s, u, v)
    lengths = _longest(c.gather(-2, row.expand_as(s)))
    # The way back closes the circle: what the best matching with this entry is below the best.
    below = c + lengths.mT.gather(-2, column.expand_as(s))
    counts = below / temperature * _UNIT >= -_LOST * n
    c = torch.where(counts, c * _UNIT, -torch.inf)
    return c[:, :m], v * _UNIT


def _settled(s: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """``s + u + v``, with 0 for what is rounding."""
    c = (s + u + v).clamp_max_(0.0)
    rounding = (4 * s.shape[-1] * torch.finfo(s.dtype).eps) * (s.abs() + u.abs() + v.abs())
    return torch.where((c >= -rounding) & (s > -torch.inf), 0.0, c)


def _longest_to(ways: Tensor) -> Tensor:  # [B, n, n] -> [B, 1, n]
    """Length of the longest way to each column, from any; 0 at least."""
    v = torch.zeros_like(ways[:, :1])
    for _ in range(ways.shape[-1]):
        longer = torch.maximum(v, (v.mT + ways).amax(-2, keepdim=True))
        if torch.equal(longer, v):
            break
        v = longer
    return v


def _longest(ways: Tensor) -> Tensor:  # [B, n, n] -> same
    """Length of the longest way from each column to each other; no way is longer than 0."""
    found = ways.clone()
    for k in range(ways.shape[-1]):
        found = torch.maximum(found, found[:, :, k : k + 1] + found[:, k : k + 1])
    return found
