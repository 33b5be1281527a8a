"""The scaling of a positive matrix to given row and column sums: sweeps, then Newton's method.

It is one operator, opaque to ``torch.compile`` and ``vmap``: inside it may look at the error and
stop. On the CPU it does. Elsewhere looking would make the device wait, so a fixed number of
iterations is made.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from relaxit.arithmetic import without_autocast
from relaxit_permutation.matrices.batching import in_front
from relaxit_permutation.sinkhorn.newton import newton
from relaxit_permutation.sinkhorn.reduced import reduced
from relaxit_permutation.sinkhorn.sweeps import first_potentials, sweep

__all__ = ["SinkhornWarning", "scale"]

Found = tuple[Tensor, Tensor, Tensor]
"""Matrices ``[B, m, n]``, potentials of their columns ``[B, 1, n]`` and errors ``[B]``."""

_UNWATCHED_SWEEPS = 20
_UNWATCHED_STEPS = 18
"""What is made where nobody looks: enough for Gumbel scores down to temperature 0.02."""
_POLISH = 10
"""Sweeps after Newton's steps, of which they remove the last of the error."""
_FAR = 10.0
"""Logarithm of a column's greatest entry, up or down, with which such sweeps may begin."""
_COARSE = 1e-3
"""Error of a sum that is mended."""
_BLIND = 0.05
"""Error of the logarithm of an entry, from the rounding of potentials, that is mended."""
_REST = 5
"""Newton's steps more, where scores are so large that rounding has the last word."""


class SinkhornWarning(RuntimeWarning):
    """Row and column sums are not what was asked for, up to the tolerance.

    Attributes:
        residual: the largest relative error of a sum.
        tolerance: what was asked for.
        matrices: how many matrices of the batch are concerned.
    """

    def __init__(self, residual: float, tolerance: float, matrices: int) -> None:
        self.residual, self.tolerance, self.matrices = residual, tolerance, matrices
        # One digit and no count, so that Python shows the same warning of many steps once.
        super().__init__(
            f"row or column sums are off by up to {residual:.0e}, more than {tolerance:.0e}; raise "
            "the temperature, `newton` or `iterations`"
        )


@torch.library.custom_op("relaxit_permutation::scale", mutates_args=())
def scale(
    x: Tensor,
    rows: Tensor,
    columns: Tensor,
    iterations: int,
    steps: int,
    aim: float,
    tolerance: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Scale ``exp(x)`` to row sums ``rows`` and column sums ``columns``.

    Args:
        x: scores ``[..., m, n]``, float32 or float64; ``-inf`` is an entry that stays 0.
        rows, columns: sums, that broadcast to ``[..., m]`` and ``[..., n]``.
        iterations: sweeps at most.
        steps: Newton's steps at most, but for a few more where rounding asks for them.
        aim: relative error at which to stop.
        tolerance: relative error above which to warn; nobody is warned off the CPU.

    Returns:
        The matrix ``[..., m, n]``, column potentials ``[..., n]``, relative errors ``[...]``.
    """
    batch, (m, n) = x.shape[:-2], x.shape[-2:]
    flat = x.reshape(-1, m, n)
    # One short row for each matrix, which the loops write into their buffers.
    r = rows.expand(*batch, m).reshape(-1, m, 1)
    c = columns.expand(*batch, n).reshape(-1, 1, n)
    watch = x.device.type == "cpu"
    with without_autocast(x):
        p, v, residual = _scale(flat, r, c, iterations, steps, aim, watch)
        if watch and x.numel():
            _warn(residual, tolerance)
    return p.reshape(x.shape), v.reshape(*batch, n), residual.reshape(batch)


def _scale(
    x: Tensor, rows: Tensor, columns: Tensor, iterations: int, steps: int, aim: float, watch: bool
) -> tuple[Tensor, Tensor, Tensor]:
    if not x.numel():
        return x.clone(), columns.clone(), x.new_zeros(len(x))
    if not watch and steps:
        iterations, steps = min(iterations, _UNWATCHED_SWEEPS), min(steps, _UNWATCHED_STEPS)
    found = _swept(x, rows, columns, iterations, steps, aim, watch)
    if not steps or (watch and float(found[2].max()) <= aim):
        return found
    if not watch:
        v, residual = found[1:]
        del found
        return _finish(x, v, rows, columns, residual, steps, aim, watch)
    _go_on(x, rows, columns, found, steps, aim)
    if (poor := _poor(found[1], found[2])) is not None:
        _mend(x, rows, columns, found, poor, iterations, steps, aim)
    return found


def _swept(
    x: Tensor, rows: Tensor, columns: Tensor, iterations: int, steps: int, aim: float, watch: bool
) -> Found:
    u, v = first_potentials(x)
    p, _, v, residual = sweep(x, u, v, rows, columns, iterations, aim, watch, patient=not steps)
    return p, v, residual


def _go_on(x: Tensor, rows: Tensor, columns: Tensor, found: Found, steps: int, aim: float) -> None:
    """Newton's method for the matrices that are left, of which ``found`` becomes what is found."""
    left = (found[2] > aim).nonzero().squeeze(-1)
    if len(left):
        x, v, rows, columns, off = (
            each.index_select(0, left) for each in (x, found[1], rows, columns, found[2])
        )
        _replace(found, left, _finish(x, v, rows, columns, off, steps, aim, True))


def _replace(found: Found, index: Tensor, part: Found) -> None:
    for whole, some in zip(found, part, strict=True):
        whole.index_copy_(0, index, some)


def _finish(
    x: Tensor,
    v: Tensor,
    rows: Tensor,
    columns: Tensor,
    residual: Tensor,
    steps: int,
    aim: float,
    watch: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Newton's steps from the potentials ``v``, then a few sweeps."""
    v = newton(x, v, rows, columns, residual, steps, aim, watch)
    # Large scores and potentials have rounded sums. Taken as they are for the scores, they need
    # small potentials, which have not.
    u = rows.log() - (x + v).logsumexp(-1, keepdim=True)
    rest = (x + u).add_(v)
    p, small, residual = _polish(rest, torch.zeros_like(v), rows, columns, watch)
    if watch and bool(residual.max() > aim):
        small = newton(rest, small, rows, columns, residual, min(_REST, steps), aim, watch)
        p, small, residual = _polish(rest, small, rows, columns, watch)
    return p, v + small, residual


def _poor(v: Tensor, residual: Tensor) -> Tensor | None:
    """Which matrices have sums that are wrong, or potentials that are known to no digit."""
    rounding = torch.finfo(v.dtype).eps * v.abs().flatten(1).amax(1)
    right = (residual <= _COARSE) & (rounding <= _BLIND)
    return None if bool(right.all()) else right.logical_not_().nonzero().squeeze(-1)


def _mend(
    x: Tensor,
    rows: Tensor,
    columns: Tensor,
    found: Found,
    poor: Tensor,
    iterations: int,
    steps: int,
    aim: float,
) -> None:
    """Begin anew with reduced scores.

    Args:
        found: matrices, potentials and errors, of which those of the matrices ``poor`` are replaced
            by what is found now.
        x, rows, columns, iterations, steps, aim: as for :func:`_scale`.
    """
    x, rows, columns = (each.index_select(0, poor) for each in (x, rows, columns))
    copies = _copies(rows, columns)
    if copies is None:
        return
    c, shift = reduced(x.double(), x.new_ones(len(x), 1, 1, dtype=torch.float64), copies)
    anew = _swept(c.to(x.dtype), rows, columns, iterations, steps, aim, True)
    _go_on(c.to(x.dtype), rows, columns, anew, steps, aim)
    _replace(found, poor, (anew[0], anew[1] + shift.to(x.dtype), anew[2]))


def _copies(rows: Tensor, columns: Tensor) -> int | None:
    """How many columns the last row takes; None unless every other row takes one."""
    shares = rows / columns[:, :, :1]
    last = columns.shape[-1] - rows.shape[-2] + 1
    one, rest = shares[:, :-1] - 1, shares[:, -1:] - last
    even = columns - columns[:, :, :1]
    worst = max(float(each.abs().amax()) for each in (one, rest, even) if each.numel())
    return last if worst < _COARSE else None


def _polish(
    x: Tensor, v: Tensor, rows: Tensor, columns: Tensor, watch: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """A few sweeps that begin with the column potentials ``v``: matrix, potentials, errors."""
    u = rows.log() - (x + v).logsumexp(-1, keepdim=True)
    # Where scores of 1e8 and more have left rounding errors of dozens, a kernel that holds them.
    highest = (x + u).add_(v).amax(-2, keepdim=True)
    v = v - (highest - _FAR).clamp_min(0.0) - (highest + _FAR).clamp_max(0.0)
    p, _, v, residual = sweep(x, u, v, rows, columns, _POLISH, 0.0, watch)
    return p, v, residual


def _warn(residual: Tensor, tolerance: float) -> None:
    worst = float(residual.max())
    if not worst <= tolerance:
        matrices = int((~(residual <= tolerance)).sum())
        warnings.warn(SinkhornWarning(worst, tolerance, matrices), stacklevel=2)


@scale.register_fake
def _(
    x: Tensor, rows: Tensor, columns: Tensor, iterations: int, steps: int, aim: float, tol: float
) -> tuple[Tensor, Tensor, Tensor]:
    batch, n = x.shape[:-2], x.shape[-1]
    return torch.empty_like(x), x.new_empty(*batch, n), x.new_empty(batch)


@scale.register_vmap
def _(
    info: Any, in_dims: tuple[int | None, ...], x: Tensor, rows: Tensor, columns: Tensor, *rest: Any
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    batched = in_front(x, in_dims[0], info.batch_size, 0)
    # Dimensions of sums are counted from the right, so a new one in front must find its place.
    sums = (
        in_front(each, dim, info.batch_size, batched.dim() - 1)
        for each, dim in zip((rows, columns), in_dims[1:3], strict=True)
    )
    return scale(batched, *sums, *rest), (0, 0, 0)
