"""The scaling of a positive matrix to given row and column sums: sweeps, then Newton's method.

It is one operator, opaque to ``torch.compile`` and ``vmap``, so that it can check the error and
stop. On the CPU it does so. On other devices the check would synchronise, so a fixed number of
iterations is made. The same holds in a program made by ``torch.export``, which consists of
PyTorch's own operators.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from relaxit import Unsupported
from relaxit.arithmetic import without_autocast
from relaxit.tracing import exporting, exporting_to_onnx
from relaxit_permutation.matrices.batching import in_front
from relaxit_permutation.sinkhorn.newton import newton
from relaxit_permutation.sinkhorn.reduced import reduced
from relaxit_permutation.sinkhorn.sweeps import first_potentials, sweep

__all__ = ["SinkhornWarning", "polish", "scale", "scale_matrices"]

Scaled = tuple[Tensor, Tensor, Tensor]
"""Scaled matrices ``[B, m, n]``, column potentials ``[B, 1, n]`` and errors ``[B]``."""

_UNWATCHED_SWEEPS = 20
_UNWATCHED_STEPS = 18
"""Numbers where the error is not checked: enough for Gumbel scores down to temperature 0.02."""
_POLISH = 10
"""Number of sweeps after Newton's steps, which remove the remaining error."""
_FAR = 10.0
"""Largest absolute logarithm of a column's greatest entry with which these sweeps may begin."""
_COARSE = 1e-3
"""Error of a sum above which a matrix is recomputed."""
_BLIND = 0.05
"""Error of log entries, from rounding of potentials, above which a matrix is recomputed."""
_REST = 5
"""Number of further Newton steps where scores are so large that rounding dominates."""


class SinkhornWarning(RuntimeWarning):
    """Row or column sums deviate from the desired sums by more than the tolerance.

    Attributes:
        residual: largest relative error of a sum.
        tolerance: requested tolerance.
        matrices: number of matrices of the batch that exceed it.
    """

    def __init__(self, residual: float, tolerance: float, matrices: int) -> None:
        self.residual, self.tolerance, self.matrices = residual, tolerance, matrices
        # One digit and no count, so that Python shows the same warning from many steps only once.
        super().__init__(
            f"row or column sums are off by up to {residual:.0e}, more than {tolerance:.0e}; raise "
            "the temperature, `newton` or `iterations`"
        )


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
        x: scores ``[..., m, n]``, float32 or float64; ``-inf`` gives an entry that stays 0.
        rows, columns: desired sums, which broadcast to ``[..., m]`` and ``[..., n]``.
        iterations: largest number of sweeps.
        steps: largest number of Newton steps; rounding may require a few more.
        aim: relative error at which to stop.
        tolerance: relative error above which to warn, on the CPU only.

    Returns:
        The matrix ``[..., m, n]``, column potentials ``[..., n]`` and relative errors ``[...]``.

    Raises:
        Unsupported: while a program is exported to ONNX, which cannot solve linear equations.
    """
    if not exporting():
        return _scale(x, rows, columns, iterations, steps, aim, tolerance)
    if exporting_to_onnx():
        raise Unsupported(
            "Sinkhorn's operator cannot be exported to ONNX, which has no solver of linear "
            "equations; torch.export can export it"
        )
    # The exported program has to run where this package is not installed.
    return _scaled(x, rows, columns, iterations, steps, aim, False)


@torch.library.custom_op("relaxit_permutation::scale", mutates_args=())
def _scale(
    x: Tensor,
    rows: Tensor,
    columns: Tensor,
    iterations: int,
    steps: int,
    aim: float,
    tolerance: float,
) -> tuple[Tensor, Tensor, Tensor]:
    watch = x.device.type == "cpu"
    result = _scaled(x, rows, columns, iterations, steps, aim, watch)
    if watch and x.numel():
        _warn(result[2], tolerance)
    return result


def _scaled(
    x: Tensor, rows: Tensor, columns: Tensor, iterations: int, steps: int, aim: float, watch: bool
) -> tuple[Tensor, Tensor, Tensor]:
    batch, (m, n) = x.shape[:-2], x.shape[-2:]
    flat = x.reshape(-1, m, n)
    # One short row per matrix, which the loops write into their buffers.
    r = rows.expand(*batch, m).reshape(-1, m, 1)
    c = columns.expand(*batch, n).reshape(-1, 1, n)
    with without_autocast(x):
        p, v, residual = scale_matrices(flat, r, c, iterations, steps, aim, watch)
    return p.reshape(x.shape), v.reshape(*batch, n), residual.reshape(batch)


def scale_matrices(
    x: Tensor, rows: Tensor, columns: Tensor, iterations: int, steps: int, aim: float, watch: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Scale a batch ``[B, m, n]`` as :func:`scale` does, without a warning.

    Args:
        x: scores ``[B, m, n]``.
        rows, columns: desired sums, ``[B, m, 1]`` and ``[B, 1, n]``.
        iterations, steps, aim: as for :func:`scale`.
        watch: whether to check the error and stop; otherwise a fixed number of iterations is made.

    Returns:
        The matrices ``[B, m, n]``, column potentials ``[B, 1, n]`` and relative errors ``[B]``.
    """
    if not x.numel():
        return x.clone(), columns.clone(), x.new_zeros(len(x))
    if not watch and steps:
        iterations, steps = min(iterations, _UNWATCHED_SWEEPS), min(steps, _UNWATCHED_STEPS)
    scaled = _swept(x, rows, columns, iterations, steps, aim, watch)
    if not steps or (watch and float(scaled[2].max()) <= aim):
        return scaled
    if not watch:
        v, residual = scaled[1:]
        del scaled
        return _finish(x, v, rows, columns, residual, steps, aim, watch)
    _go_on(x, rows, columns, scaled, steps, aim)
    if (poor := _poor(scaled[1], scaled[2])) is not None:
        _mend(x, rows, columns, scaled, poor, iterations, steps, aim)
    return scaled


def _swept(
    x: Tensor, rows: Tensor, columns: Tensor, iterations: int, steps: int, aim: float, watch: bool
) -> Scaled:
    u, v = first_potentials(x)
    p, _, v, residual = sweep(x, u, v, rows, columns, iterations, aim, watch, patient=not steps)
    return p, v, residual


def _go_on(
    x: Tensor, rows: Tensor, columns: Tensor, scaled: Scaled, steps: int, aim: float
) -> None:
    """Apply Newton's method to the matrices that have not converged, and update ``scaled``."""
    remaining = (scaled[2] > aim).nonzero().squeeze(-1)
    if len(remaining):
        x, v, rows, columns, off = (
            tensor.index_select(0, remaining) for tensor in (x, scaled[1], rows, columns, scaled[2])
        )
        _replace(scaled, remaining, _finish(x, v, rows, columns, off, steps, aim, True))


def _replace(scaled: Scaled, index: Tensor, part: Scaled) -> None:
    for full, selected in zip(scaled, part, strict=True):
        full.index_copy_(0, index, selected)


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
    """Make Newton steps from the potentials ``v``, then a few sweeps."""
    v = newton(x, v, rows, columns, residual, steps, aim, watch)
    # The sums of large scores and potentials are rounded. Taken as scores themselves, they need
    # only small potentials, which add no such rounding errors.
    u = rows.log() - (x + v).logsumexp(-1, keepdim=True)
    rest = (x + u).add_(v)
    p, small, residual = polish(rest, torch.zeros_like(v), rows, columns, watch)
    if watch and bool(residual.max() > aim):
        small = newton(rest, small, rows, columns, residual, min(_REST, steps), aim, watch)
        p, small, residual = polish(rest, small, rows, columns, watch)
    return p, v + small, residual


def _poor(v: Tensor, residual: Tensor) -> Tensor | None:
    """Return indices of matrices with wrong sums or potentials without an accurate digit."""
    rounding = torch.finfo(v.dtype).eps * v.abs().flatten(1).amax(1)
    right = (residual <= _COARSE) & (rounding <= _BLIND)
    return None if bool(right.all()) else right.logical_not_().nonzero().squeeze(-1)


def _mend(
    x: Tensor,
    rows: Tensor,
    columns: Tensor,
    scaled: Scaled,
    poor: Tensor,
    iterations: int,
    steps: int,
    aim: float,
) -> None:
    """Recompute inaccurate matrices from reduced scores.

    Args:
        scaled: matrices, potentials and errors, updated for the matrices ``poor``.
        poor: indices of the inaccurate matrices.
        x, rows, columns, iterations, steps, aim: as for :func:`scale_matrices`.
    """
    x, rows, columns = (tensor.index_select(0, poor) for tensor in (x, rows, columns))
    copies = _copies(rows, columns)
    if copies is None:
        return
    c, shift = reduced(x.double(), x.new_ones(len(x), 1, 1, dtype=torch.float64), copies)
    again = _swept(c.to(x.dtype), rows, columns, iterations, steps, aim, True)
    _go_on(c.to(x.dtype), rows, columns, again, steps, aim)
    _replace(scaled, poor, (again[0], again[1] + shift.to(x.dtype), again[2]))


def _copies(rows: Tensor, columns: Tensor) -> int | None:
    """Return how many columns the last row takes; None unless every other row takes one."""
    shares = rows / columns[:, :, :1]
    last = columns.shape[-1] - rows.shape[-2] + 1
    single, rest = shares[:, :-1] - 1, shares[:, -1:] - last
    even = columns - columns[:, :, :1]
    worst = max(float(off.abs().amax()) for off in (single, rest, even) if off.numel())
    return last if worst < _COARSE else None


def polish(
    x: Tensor, v: Tensor, rows: Tensor, columns: Tensor, watch: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Make a few sweeps from the column potentials ``v``; return matrix, potentials and errors."""
    u = rows.log() - (x + v).logsumexp(-1, keepdim=True)
    # Scores of 1e8 and more may leave rounding errors of dozens; this brings the kernel in range.
    highest = (x + u).add_(v).amax(-2, keepdim=True)
    v = v - (highest - _FAR).clamp_min(0.0) - (highest + _FAR).clamp_max(0.0)
    p, _, v, residual = sweep(x, u, v, rows, columns, _POLISH, 0.0, watch)
    return p, v, residual


def _warn(residual: Tensor, tolerance: float) -> None:
    worst = float(residual.max())
    if not worst <= tolerance:
        matrices = int((~(residual <= tolerance)).sum())
        warnings.warn(SinkhornWarning(worst, tolerance, matrices), stacklevel=2)


@_scale.register_fake
def _(
    x: Tensor, rows: Tensor, columns: Tensor, iterations: int, steps: int, aim: float, tol: float
) -> tuple[Tensor, Tensor, Tensor]:
    batch, n = x.shape[:-2], x.shape[-1]
    return torch.empty_like(x), x.new_empty(*batch, n), x.new_empty(batch)


@_scale.register_vmap
def _(
    info: Any, in_dims: tuple[int | None, ...], x: Tensor, rows: Tensor, columns: Tensor, *rest: Any
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    batched = in_front(x, in_dims[0], info.batch_size, 0)
    # Dimensions of sums broadcast from the right, so the mapped one must be aligned in front.
    sums = (
        in_front(tensor, dim, info.batch_size, batched.dim() - 1)
        for tensor, dim in zip((rows, columns), in_dims[1:3], strict=True)
    )
    return _scale(batched, *sums, *rest), (0, 0, 0)
