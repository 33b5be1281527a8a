r"""Sinkhorn's operator: the doubly stochastic matrix nearest to scores, differentiable.

    P = argmax over doubly stochastic P of   <P, scores> / temperature + H(P)
      = exp(scores / temperature + u_i + v_j)

with the entropy H(P) = -sum P log P and the u, v that make rows and columns sum to 1. As the
temperature falls, P tends to the permutation with the greatest score.

**The gradient** is that of the limit, not of the iterations that led there. For an arriving
gradient G it is P * (G - lambda_i - mu_j), G less its part across the polytope: lambda and mu are
such that rows and columns of the result sum to 0, one linear system of n equations. It needs P and
nothing else, whatever the number of iterations, and has gradients of its own.

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
from relaxit.shapes import check_temperature_value
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
    """The soft permutation matrix of scores; of a wide matrix, the soft matching.

    Args:
        scores: ``[..., m, n]`` with m <= n. ``-inf`` excludes an entry.
        temperature: positive; float, or tensor that broadcasts against scores.
        iterations: Sinkhorn's sweeps at most, before Newton's method takes over.
        newton: Newton's steps at most; 0 leaves it at sweeps.
        tolerance: error of a sum above which a :class:`SinkhornWarning` is given, on the CPU.

    Returns:
        ``[..., m, n]`` in the dtype of scores: rows sum to 1; columns too if m = n, otherwise to 1
        at most. NaN where scores are NaN, or where what is excluded leaves a row without an entry.

    Raises:
        TypeError: if scores are not of a floating dtype.
        ShapeError: if scores are no matrices, or have more rows than columns.
        DomainError: if a temperature that is a number is not finite and positive (tensors are not
            looked at), iterations are less than 1, or newton less than 0.

    Example:
        >>> soft = sinkhorn(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), 0.5)
        >>> soft
        tensor([[0.8808, 0.1192],
                [0.1192, 0.8808]])
    """
    if not scores.is_floating_point():
        raise TypeError(f"sinkhorn: scores must be a floating tensor, got {scores.dtype}")
    if scores.dim() < 2 or not 1 <= scores.shape[-2] <= scores.shape[-1]:
        raise ShapeError(f"sinkhorn: scores must be [*, m, n], m <= n, got {list(scores.shape)}")
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
            f"sinkhorn: iterations must be 1 or more and newton 0 or more, got {iterations} and "
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
    """``exp(x)`` scaled to given sums of rows and columns, differentiable in x.

    Args:
        x: ``[..., m, n]``, float32 or float64.
        rows, columns: positive sums that broadcast to ``[..., m]`` and ``[..., n]``, of the same
            total.
        iterations, newton, tolerance: as for :func:`sinkhorn`.

    Returns:
        The matrix; its column potentials ``[..., n]`` and relative errors ``[...]``, without
        gradient. Where potentials were too large to be known to a digit, they say nothing of
        entries that count nothing.
    """
    found: tuple[Tensor, Tensor, Tensor] = _Scaled.apply(
        x, rows, columns, iterations, newton, _aim(x.dtype) if newton else 0.0, tolerance
    )
    return found


def _aim(dtype: torch.dtype) -> float:
    """Error of the sums that is aimed at where there is no reason to stop before."""
    # Written out: a number from elsewhere may be a symbol to a compiler.
    return 1e-5 if dtype == torch.float32 else 1e-13


def residual(soft: Tensor) -> Tensor:  # [..., m, n] -> [...]
    """How far rows and columns of a soft value are from their sums: the largest error of each.

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
        # Dynamo before PyTorch 2.12 wants every argument by its name.
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
    """``P * (G - lambda_i - mu_j)`` with rows and columns that sum to 0."""
    if torch.compiler.is_compiling():
        return _projected(p, gradient, full_precision_matmul)
    # Float32 may not do where products are shortened, or may be by the time that autograd makes
    # second derivatives of all of this.
    recorded = torch.is_grad_enabled() and p.requires_grad
    if p.dtype == torch.float32 and (recorded or has_reduced_precision(p.device)):
        return _projected(p.double(), gradient.double(), torch.matmul).to(p.dtype)
    return _projected(p, gradient, torch.matmul)


def _projected(p: Tensor, gradient: Tensor, times: Product) -> Tensor:
    flow = p * gradient
    rows = p.sum(-1, keepdim=True)
    mean = flow.sum(-1, keepdim=True) / rows  # lambda_i less the share of mu
    lack = flow.sum(-2, keepdim=True) - times(mean.mT, p)
    mu = torch.linalg.solve_ex(system(p, rows, times), lack.mT)[0].mT
    return flow - p * (mean - times(mu, p.mT).mT / rows + mu)
