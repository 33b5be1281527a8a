r"""The scaling of a matrix as a differentiable function: derivatives of the limit, in both modes.

The scaled matrix is ``P = exp(x + u_i + v_j)``, where u and v give rows and columns their sums r
and c. For changes of x, r and c,

    dP = P * (dx + du_i + dv_j),        du and dv such that rows and columns of dP sum to dr and dc,

which is one linear system of n equations, whatever the number of iterations. For a gradient G of P,

    grad x = P * (G - lambda_i - mu_j),     grad r = lambda,     grad c = mu,

where lambda and mu make rows and columns of ``grad x`` sum to 0: the same system. Only P is needed,
and both are differentiable themselves. A constant may be moved from lambda to mu; it does not
matter, because r and c have the same total.

Reference: Eisenberger et al., "A Unified Framework for Implicit Sinkhorn Differentiation",
arXiv:2205.06688.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from relaxit.arithmetic import full_precision_matmul, has_reduced_precision
from relaxit.autograd import Levels, in_all_modes, no_change
from relaxit.tracing import recorded
from relaxit_permutation.sinkhorn.newton import Product, system
from relaxit_permutation.sinkhorn.scaling import scale

__all__ = ["ITERATIONS", "STEPS", "TOLERANCE", "scaled"]

ITERATIONS = 200
STEPS = 100
TOLERANCE = 1e-4


def scaled(
    x: Tensor,
    rows: Tensor,
    columns: Tensor,
    iterations: int = ITERATIONS,
    newton: int = STEPS,
    tolerance: float = TOLERANCE,
) -> tuple[Tensor, Tensor, Tensor]:
    """Scale ``exp(x)`` to given sums of rows and columns, differentiably in all three.

    Args:
        x: scores ``[..., m, n]``, float32 or float64.
        rows, columns: positive sums that broadcast to ``[..., m]`` and ``[..., n]``, with the same
            total.
        iterations, newton, tolerance: as for
            :func:`~relaxit_permutation.sinkhorn.operator.sinkhorn`.

    Returns:
        The matrix ``[..., m, n]``, and without gradient its column potentials ``[..., n]`` and
        relative errors ``[...]``. Where potentials were too large to have any accurate digit, they
        hold no information on negligible entries.
    """
    settings = iterations, newton, _aim(x.dtype) if newton else 0.0, tolerance
    if recorded():
        return _recorded(x, rows, columns, *settings)
    result: tuple[Tensor, Tensor, Tensor] = in_all_modes(
        _Scaled, _ScaledBothModes, _by_steps, x, rows, columns, *settings
    )
    return result


def _recorded(
    x: Tensor, rows: Tensor, columns: Tensor, *settings: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Scale where a tracer records operations, which would lose the derivatives of a function.

    Along any change of x, r and c, the matrix follows ``dP = tangent(P)``, an ordinary differential
    equation. One step of the classical Runge-Kutta method has an error of fifth order in the
    change, so that derivatives up to the fourth are right, and the first is that of the function.
    """
    p, v, off = scale(x.detach(), rows.detach(), columns.detach(), *settings)
    if torch.is_grad_enabled():
        change = no_change(x), no_change(rows), no_change(columns)
        first = _tangent(p, *change)
        second = _tangent(p + first / 2, *change)
        third = _tangent(p + second / 2, *change)
        fourth = _tangent(p + third, *change)
        p = p + (first + 2 * (second + third) + fourth) / 6
    return p, v, off


def _aim(dtype: torch.dtype) -> float:
    """Return the error of the sums at which to stop."""
    # Written as literals: a global number may be symbolic in compiled code.
    return 1e-5 if dtype == torch.float32 else 1e-13


class _Scaled(torch.autograd.Function):
    """The scaling with its implicit derivatives in reverse mode."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor,
        rows: Tensor,
        columns: Tensor,
        iterations: int,
        steps: int,
        aim: float,
        tolerance: float,
        levels: Levels | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        # Where nothing requires a gradient, Dynamo before PyTorch 2.15 rejects ``*arguments``.
        return scale(x, rows, columns, iterations, steps, aim, tolerance)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(output[0])
        ctx.mark_non_differentiable(output[1], output[2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (p,) = ctx.saved_tensors
        along, row, column = _adjoint(p, grads[0])
        needed = ctx.needs_input_grad
        of_rows = row.squeeze(-1).to(p.dtype) if needed[1] else None
        of_columns = column.squeeze(-2).to(p.dtype) if needed[2] else None
        return along, of_rows, of_columns, None, None, None, None, None


class _ScaledBothModes(_Scaled):
    """The scaling with its derivatives in both modes, which compilers do not trace."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _Scaled.setup_context(ctx, inputs, output)
        ctx.save_for_forward(output[0])
        ctx.levels = inputs[7]

    @staticmethod
    def jvp(
        ctx: Any, x: Tensor | None, rows: Tensor | None, columns: Tensor | None, *_: None
    ) -> tuple[Tensor, None, None]:
        ctx.levels.number += 1
        (p,) = ctx.saved_tensors
        return _tangent(p, x, rows, columns), None, None


def _by_steps(
    x: Tensor, rows: Tensor, columns: Tensor, *settings: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Scale by operations that PyTorch differentiates: three steps of Newton's method.

    From the limit they change no number, but each about doubles the order up to which derivatives
    are right, to 1, to 3 and to 7, as it squares the error of any other start.
    """
    limit, v, off = scale(x.detach(), rows.detach(), columns.detach(), *settings)
    change = no_change(x)
    row, column = rows.unsqueeze(-1), columns.unsqueeze(-2)
    shift = torch.zeros_like(limit[..., :1, :])
    for _ in range(3):
        p = _normalised(limit, change + shift, row)
        lack = column - p.sum(-2, keepdim=True)
        matrix = system(p, p.sum(-1, keepdim=True), full_precision_matmul)
        # Three levels of forward mode over solve_ex are wrong in PyTorch 2.14, those of inv_ex not.
        inverse = torch.linalg.inv_ex(matrix)[0]
        shift = shift + full_precision_matmul(inverse, lack.mT).mT
    return _normalised(limit, change + shift, row), v, off


def _normalised(p: Tensor, change: Tensor, rows: Tensor) -> Tensor:
    weights = p * change.exp()
    return rows * weights / weights.sum(-1, keepdim=True)


def _adjoint(p: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of x ``[..., m, n]``, rows ``[..., m, 1]`` and columns ``[..., 1, n]``.

    The first one, in the dtype of P, is ``P * (G - lambda_i - mu_j)``; its rows and columns sum to
    0. The others are lambda and mu.
    """
    wide, times = _wide_enough(p)
    flow = wide * gradient.to(wide.dtype)
    row, column = _shifts(wide, flow.sum(-1, keepdim=True), flow.sum(-2, keepdim=True), times)
    return (flow - wide * (row + column)).to(p.dtype), row, column


def _tangent(p: Tensor, x: Tensor | None, rows: Tensor | None, columns: Tensor | None) -> Tensor:
    """Return the change ``[..., m, n]`` of P for changes of scores and sums."""
    wide, times = _wide_enough(p)
    flow = torch.zeros_like(wide) if x is None else wide * x.to(wide.dtype)
    of_rows, of_columns = flow.sum(-1, keepdim=True), flow.sum(-2, keepdim=True)
    if rows is not None:
        of_rows = of_rows - rows.to(wide.dtype).unsqueeze(-1)
    if columns is not None:
        of_columns = of_columns - columns.to(wide.dtype).unsqueeze(-2)
    row, column = _shifts(wide, of_rows, of_columns, times)
    return (flow - wide * (row + column)).to(p.dtype)


def _wide_enough(p: Tensor) -> tuple[Tensor, Product]:
    """Return the matrix in a dtype, and a product, that are accurate enough for the system."""
    if torch.compiler.is_compiling():
        return p, full_precision_matmul
    # Float32 may be insufficient where matmuls run at reduced precision, or may do so by the time
    # autograd computes second derivatives of this.
    twice = torch.is_grad_enabled() and p.requires_grad
    if p.dtype == torch.float32 and (twice or has_reduced_precision(p.device)):
        return p.double(), torch.matmul
    return p, torch.matmul


def _shifts(
    p: Tensor, of_rows: Tensor, of_columns: Tensor, times: Product
) -> tuple[Tensor, Tensor]:
    """Return shifts ``[..., m, 1]`` and ``[..., 1, n]`` with given sums of ``P * (row + column)``.

    Args:
        p: matrix P ``[..., m, n]``.
        of_rows, of_columns: sums ``[..., m, 1]`` and ``[..., 1, n]``.
        times: matrix multiplication in full precision.
    """
    rows = p.sum(-1, keepdim=True)
    mean = of_rows / rows  # the row shifts without the contribution of the column shifts
    lack = of_columns - times(mean.mT, p)
    column = torch.linalg.solve_ex(system(p, rows, times), lack.mT)[0].mT
    return mean - times(column, p.mT).mT / rows, column
