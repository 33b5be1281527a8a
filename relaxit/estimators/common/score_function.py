"""Code shared by score-function estimators: sums to the shape of the costs, added gradients.

A cost of shape ``[*lead]`` may depend on several variables of the batch ``[*batch]``, where
``lead`` begins ``batch``: log-masses and inner products are summed over the rest.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from relaxit.autograd import Levels, in_all_modes, no_change
from relaxit.dtypes import compute_dtype
from relaxit.relaxation import RelaxedDistribution

__all__ = [
    "add_gradient",
    "expand_to_rank",
    "inner_product",
    "sum_to",
    "total_log_prob",
]


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
    def forward(value: Tensor, extra: Tensor, levels: Levels | None) -> Tensor:
        del levels
        if torch.compiler.is_compiling():
            # Adds nothing, but makes the forward pass depend on the extra term. A compiler would
            # otherwise compute that term in the backward pass, from buffers of a baseline that have
            # been updated in between (torch 2.15).
            return value + extra.flatten()[:0].sum().to(value.dtype)
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        del output
        ctx.dtype, ctx.levels = inputs[1].dtype, inputs[2]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        return grad, grad.to(ctx.dtype), None


class _WithGradientBothModes(_WithGradient):
    @staticmethod
    def jvp(ctx: Any, value: Tensor, extra: Tensor, _: None) -> Tensor:
        ctx.levels.number += 1
        return value + extra.to(value.dtype)


def _with_gradient(value: Tensor, extra: Tensor) -> Tensor:
    return value + no_change(extra).to(value.dtype)


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
    result: Tensor = in_all_modes(
        _WithGradient, _WithGradientBothModes, _with_gradient, value, extra
    )
    return result
