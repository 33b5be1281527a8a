r"""Sinkhorn's operator: the doubly stochastic matrix nearest to scores, differentiable.

    P = argmax over doubly stochastic P of   <P, scores> / temperature + H(P)
      = exp(scores / temperature + u_i + v_j)

with the entropy H(P) = -sum P log P, where u and v make rows and columns sum to 1. As the
temperature decreases, P tends to the permutation with the greatest score.

**The gradient** is that of the limit, not of the iterations. For an upstream gradient G it is
P * (G - lambda_i - mu_j), a projection of G onto the tangent space of the polytope: lambda and mu
make rows and columns of the result sum to 0, which takes one linear system of n equations. It needs
only P, whatever the number of iterations, and is itself differentiable.

References: Sinkhorn, Knopp, Pacific J. Math. 21 (1967); Mena, Belanger, Linderman, Snoek,
"Learning Latent Permutations with Gumbel-Sinkhorn Networks", arXiv:1802.08665; Eisenberger et al.,
"A Unified Framework for Implicit Sinkhorn Differentiation", arXiv:2205.06688 (the gradient).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from relaxit import DomainError, ShapeError
from relaxit.arithmetic import full_precision_matmul, has_reduced_precision
from relaxit.dtypes import compute_dtype
from relaxit.temperature import check_temperature_value
from relaxit_permutation.sinkhorn.newton import Product, system
from relaxit_permutation.sinkhorn.quotient import quotient
from relaxit_permutation.sinkhorn.scaling import SinkhornWarning, scale

__all__ = ["SinkhornWarning", "residual", "scaled", "sinkhorn"]

ITERATIONS = 200
STEPS = 100
TOLERANCE = 1e-4


def sinkhorn(
    scores: Tensor,
    temperature: float | Tensor = 1.0,
    *,
    iterations: int = ITERATIONS,
    newton: int = STEPS,
    tolerance: float = TOLERANCE,
) -> Tensor:
    """Return the soft permutation matrix of scores or, for a wide matrix, the soft matching.

    Args:
        scores: scores ``[..., m, n]`` with m <= n; ``-inf`` excludes an entry.
        temperature: positive float, or tensor that broadcasts against scores.
        iterations: largest number of Sinkhorn sweeps before Newton's method takes over.
        newton: largest number of Newton steps; with 0 only sweeps are made.
        tolerance: error of a sum above which a :class:`SinkhornWarning` is issued, on the CPU.

    Returns:
        ``[..., m, n]`` in the dtype of scores. Rows sum to 1; columns sum to 1 if m = n, and
        otherwise to at most 1. The result is NaN where scores are NaN, or where the excluded
        entries leave a row empty.

    Raises:
        TypeError: if scores are not of a floating-point dtype.
        ShapeError: if scores are not matrices, or have more rows than columns.
        DomainError: if the temperature is a number that is not finite and positive (tensors are not
            checked), iterations is less than 1, or newton is less than 0.

    Example:
        >>> soft = sinkhorn(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), 0.5)
        >>> soft
        tensor([[0.8808, 0.1192],
                [0.1192, 0.8808]])
    """
    if not scores.is_floating_point():
        raise TypeError(f"sinkhorn: scores must be a floating-point tensor, got {scores.dtype}")
    if scores.dim() < 2 or not 1 <= scores.shape[-2] <= scores.shape[-1]:
        raise ShapeError(
            f"sinkhorn: scores must have shape [*, m, n] with m <= n, got {list(scores.shape)}"
        )
    _check_settings(temperature, iterations, newton)
    x = quotient(scores.to(compute_dtype(scores.dtype)), temperature)
    m, n = scores.shape[-2:]
    rows = x.new_ones(m)
    if m < n:
        rows = torch.cat([rows, x.new_full((1,), n - m)])
    soft, _, _ = scaled(x, rows, x.new_ones(n), iterations, newton, tolerance)
    return soft[..., :m, :].to(scores.dtype)


def _check_settings(temperature: float | Tensor, iterations: int, newton: int) -> None:
    if not isinstance(temperature, Tensor):
        check_temperature_value(temperature)
    if iterations < 1 or newton < 0:
        raise DomainError(
            f"sinkhorn: iterations must be at least 1 and newton at least 0, got {iterations} and "
            f"{newton}"
        )


def scaled(
    x: Tensor,
    rows: Tensor,
    columns: Tensor,
    iterations: int = ITERATIONS,
    newton: int = STEPS,
    tolerance: float = TOLERANCE,
) -> tuple[Tensor, Tensor, Tensor]:
    """Scale ``exp(x)`` to given sums of rows and columns, differentiably in x.

    Args:
        x: scores ``[..., m, n]``, float32 or float64.
        rows, columns: positive sums that broadcast to ``[..., m]`` and ``[..., n]``, with the same
            total.
        iterations, newton, tolerance: as for :func:`sinkhorn`.

    Returns:
        The matrix ``[..., m, n]``, and without gradient its column potentials ``[..., n]`` and
        relative errors ``[...]``. Where potentials were too large to have any accurate digit, they
        hold no information on negligible entries.
    """
    result: tuple[Tensor, Tensor, Tensor] = _Scaled.apply(
        x, rows, columns, iterations, newton, _aim(x.dtype) if newton else 0.0, tolerance
    )
    return result


def _aim(dtype: torch.dtype) -> float:
    """Return the error of the sums at which to stop."""
    # Written as literals: a global number may be symbolic in compiled code.
    return 1e-5 if dtype == torch.float32 else 1e-13


def residual(soft: Tensor) -> Tensor:  # [..., m, n] -> [...]
    """Return the largest error of the row and column sums of each soft matrix.

    Example:
        >>> residual(torch.tensor([[0.5, 0.5], [0.5, 0.4]]))
        tensor(0.1000)
    """
    rows, columns = soft.sum(-1) - 1, soft.sum(-2) - 1
    if soft.shape[-2] == soft.shape[-1]:
        columns = columns.abs()
    return torch.maximum(rows.abs().amax(-1), columns.amax(-1))


class _Scaled(torch.autograd.Function):
    """The scaling with its implicit gradient."""

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
    ) -> tuple[Tensor, Tensor, Tensor]:
        # Dynamo before PyTorch 2.12 needs every argument to be named.
        return scale(x, rows, columns, iterations, steps, aim, tolerance)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(output[0])
        ctx.mark_non_differentiable(output[1], output[2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (p,) = ctx.saved_tensors
        return _along(p, grads[0]), None, None, None, None, None, None


def _along(p: Tensor, gradient: Tensor) -> Tensor:
    """Compute ``P * (G - lambda_i - mu_j)`` with rows and columns that sum to 0."""
    if torch.compiler.is_compiling():
        return _projected(p, gradient, full_precision_matmul)
    # Float32 may be insufficient where matmuls run at reduced precision, or may do so by the time
    # autograd computes second derivatives of this.
    recorded = torch.is_grad_enabled() and p.requires_grad
    if p.dtype == torch.float32 and (recorded or has_reduced_precision(p.device)):
        return _projected(p.double(), gradient.double(), torch.matmul).to(p.dtype)
    return _projected(p, gradient, torch.matmul)


def _projected(p: Tensor, gradient: Tensor, times: Product) -> Tensor:
    flow = p * gradient
    rows = p.sum(-1, keepdim=True)
    mean = flow.sum(-1, keepdim=True) / rows  # lambda_i without the contribution of mu
    lack = flow.sum(-2, keepdim=True) - times(mean.mT, p)
    mu = torch.linalg.solve_ex(system(p, rows, times), lack.mT)[0].mT
    return flow - p * (mean - times(mu, p.mT).mT / rows + mu)
