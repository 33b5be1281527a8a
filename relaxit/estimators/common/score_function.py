"""What score-function estimators share: sums to the shape of the costs, and a gradient added.

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
    """Costs that a gradient can be attached to: counts and truth values become float32.

    Example:
        >>> as_floating(torch.tensor([True, False]))
        tensor([1., 0.])
    """
    return costs if costs.is_floating_point() else costs.to(torch.float32)


def cost_shape(q: RelaxedDistribution, costs: Tensor) -> torch.Size:
    """The shape of the costs, which must begin the batch shape.

    Raises:
        ShapeError: if it does not, where a product with log-masses would broadcast.
    """
    lead = costs.shape
    if q.batch_shape[: len(lead)] != lead:
        raise ShapeError(
            f"a cost of shape {list(lead)} does not begin the batch shape {list(q.batch_shape)}"
        )
    return lead


def sum_to(lead: torch.Size, x: Tensor, before: int = 0) -> Tensor:
    """Sum ``[*before, *lead, *rest]`` over the rest; ``before`` counts the dimensions in front."""
    kept = before + len(lead)
    return x.flatten(kept).sum(-1) if x.dim() > kept else x


def expand_to_rank(factor: Tensor, rank: int) -> Tensor:
    """A factor ``[*lead]`` with as many dimensions of size 1 behind as make it one of ``rank``."""
    return factor.reshape(factor.shape + (1,) * (rank - factor.dim()))


def total_log_prob(q: RelaxedDistribution, hard: Tensor, lead: torch.Size) -> Tensor:
    """Log-mass ``[*sample, *lead]`` of all variables that one cost depends on, float32 at least."""
    mass: Tensor = q.discrete.log_prob(hard)
    return sum_to(lead, mass, mass.dim() - len(q.batch_shape))


def inner_product(lead: torch.Size, params: Tensor, slope: Tensor) -> Tensor:
    """``<params, slope>`` for each cost: a function of params whose gradient is the slope.

    Infinite params are constants, which no gradient moves.
    """
    finite = params.to(compute_dtype(params.dtype))
    return sum_to(lead, finite.masked_fill(finite.isinf(), 0.0) * slope.detach())


class _WithGradient(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, extra: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            # Nothing is added, but now the forward pass needs what the extra term is made of.
            # Otherwise a compiler works it out in the backward pass, from a baseline's buffers that
            # have been brought up to date since (torch 2.15).
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
    """The value, to the last bit, with its own gradient and that of ``extra`` (same shape).

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
