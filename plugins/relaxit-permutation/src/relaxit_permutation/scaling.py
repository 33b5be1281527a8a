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

from relaxit_permutation.newton import newton
from relaxit_permutation.sweeps import first_potentials, sweep

__all__ = ["SinkhornWarning", "scale"]

_UNWATCHED_SWEEPS = 20
_UNWATCHED_STEPS = 18
"""What is made where nobody looks: enough for Gumbel scores down to temperature 0.02."""
_POLISH = 10
"""Sweeps after Newton's steps, of which they remove the last of the error."""
_FAR = 10.0
"""Logarithm of a column's greatest entry, up or down, with which such sweeps may begin."""
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
    p, v, residual = _scale(flat, r, c, iterations, steps, aim, watch)
    if watch:
        _warn(residual, tolerance)
    return p.reshape(x.shape), v.reshape(*batch, n), residual.reshape(batch)


def _scale(
    x: Tensor, rows: Tensor, columns: Tensor, iterations: int, steps: int, aim: float, watch: bool
) -> tuple[Tensor, Tensor, Tensor]:
    if not x.numel():
        return x.clone(), columns.clone(), x.new_zeros(len(x))
    u, v = first_potentials(x)
    if not watch and steps:
        iterations, steps = min(iterations, _UNWATCHED_SWEEPS), min(steps, _UNWATCHED_STEPS)
    p, u, v, residual = sweep(x, u, v, rows, columns, iterations, aim, watch, patient=not steps)
    if not steps:
        return p, v, residual
    left = (residual > aim).nonzero().squeeze(-1) if watch else None
    if left is None or len(left) == len(x):
        del p, u
        return _finish(x, v, rows, columns, residual, steps, aim, watch)
    if len(left):
        x, some, rows, columns, off = (
            each.index_select(0, left) for each in (x, v, rows, columns, residual)
        )
        finished = _finish(x, some, rows, columns, off, steps, aim, watch)
        for whole, part in zip((p, v, residual), finished, strict=True):
            whole.index_copy_(0, left, part)
    return p, v, residual


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
    wrong = ~(residual <= tolerance)
    if bool(wrong.any()):
        worst = SinkhornWarning(float(residual.max()), tolerance, int(wrong.sum()))
        warnings.warn(worst, stacklevel=2)


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
    batched = _in_front(x, in_dims[0], info.batch_size, 0)
    # Dimensions of sums are counted from the right, so a new one in front must find its place.
    sums = (
        _in_front(each, dim, info.batch_size, batched.dim() - 1)
        for each, dim in zip((rows, columns), in_dims[1:3], strict=True)
    )
    return scale(batched, *sums, *rest), (0, 0, 0)


def _in_front(tensor: Tensor, dim: int | None, size: int, rank: int) -> Tensor:
    """The mapped dimension in front; a tensor that has none gets it, or is left to broadcast."""
    if dim is None:
        return tensor if rank else tensor.expand(size, *tensor.shape)
    moved = tensor.movedim(dim, 0)
    missing = rank - moved.dim()
    return moved.reshape(moved.shape[0], *(1,) * missing, *moved.shape[1:])
