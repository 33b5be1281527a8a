"""Code shared by score-function estimators: sums to the shape of the costs, added gradients.

A cost of shape ``[*lead]`` may depend on several variables of the batch ``[*batch]``, where
``lead`` begins ``batch``: log-masses and inner products are summed over the rest.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from relaxit.dtypes import compute_dtype
from relaxit.errors import ShapeError
from relaxit.relaxation import RelaxedDistribution

__all__ = [
    "add_gradient",
    "as_floating",
    "cost_shape",
    "expand_to_rank",
    "inner_product",
    "sum_to",
    "total_log_prob",
]


def as_floating(costs: Tensor) -> Tensor:
    """Convert integer and boolean costs to float32, so that a gradient can be attached.

    Example:
        >>> as_floating(torch.tensor([True, False]))
        tensor([1., 0.])
    """
    return costs if costs.is_floating_point() else costs.to(torch.float32)


def cost_shape(q: RelaxedDistribution, costs: Tensor) -> torch.Size:
    """Return the shape of the costs, which must begin the batch shape.

    Raises:
        ShapeError: if it does not; a product with log-masses would broadcast.
    """
    lead = costs.shape
    if q.batch_shape[: len(lead)] != lead:
        raise ShapeError(
            f"a cost of shape {list(lead)} does not begin the batch shape {list(q.batch_shape)}"
        )
    return lead


def sum_to(lead: torch.Size, x: Tensor, before: int = 0) -> Tensor:
    """Sum ``[*before, *lead, *rest]`` over the rest; ``before`` counts the dimensions in front."""
    rank = before + len(lead)
    return x.flatten(rank).sum(-1) if x.dim() > rank else x


def expand_to_rank(factor: Tensor, rank: int) -> Tensor:
    """Append dimensions of size 1 to a factor ``[*lead]`` until it has ``rank`` dimensions."""
    return factor.reshape(factor.shape + (1,) * (rank - factor.dim()))


def total_log_prob(q: RelaxedDistribution, hard: Tensor, lead: torch.Size) -> Tensor:
    """Log-mass ``[*sample, *lead]`` of all variables that one cost depends on, at least float32."""
    mass: Tensor = q.discrete.log_prob(hard)
    return sum_to(lead, mass, mass.dim() - len(q.batch_shape))


def inner_product(lead: torch.Size, params: Tensor, slope: Tensor) -> Tensor:
    """Compute ``<params, slope>`` for each cost, a function of params with gradient ``slope``.

    Infinite params are constants and get no gradient.
    """
    finite = params.to(compute_dtype(params.dtype))
    return sum_to(lead, finite.masked_fill(finite.isinf(), 0.0) * slope.detach())


class _WithGradient(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, extra: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            # Adds nothing, but makes the forward pass depend on the extra term. A compiler would
            # otherwise compute that term in the backward pass, from buffers of a baseline that have
            # been updated in between (torch 2.15).
            return value + extra.flatten()[:0].sum().to(value.dtype)
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        del output
        ctx.dtype = inputs[1].dtype

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        return grad, grad.to(ctx.dtype)


def add_gradient(value: Tensor, extra: Tensor) -> Tensor:
    """Return exactly ``value``, with its own gradient plus that of ``extra`` (same shape).

    ``value + extra - extra.detach()`` rounds, and is NaN where ``extra`` is infinite.

    Example:
        >>> x = torch.tensor(2.0, requires_grad=True)
        >>> y = add_gradient(3 * x, 5 * x)
        >>> y.backward()
        >>> y.item(), x.grad.item()
        (6.0, 8.0)
    """
    result: Tensor = _WithGradient.apply(value, extra)
    return result
