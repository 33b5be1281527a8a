"""The slope of a cost at a soft value, without a graph for what else the cost is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from relaxit.errors import Unsupported

__all__ = ["cost_and_gradient"]


def cost_and_gradient(cost: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    """Costs ``[*lead]`` at a value, and the gradient of their sum there, both without graph.

    No gradient reaches the weights of a network that the cost closes over: gradients are off
    outside, and the transform turns them on for its argument alone. It works in plain eager code
    and under ``torch.func``'s transforms, where ``torch.autograd.grad`` does not.

    Args:
        cost: function of one value.
        at: where; its own graph is left out.

    Raises:
        Unsupported: if the costs are no floating numbers.

    Example:
        >>> weight = torch.tensor(3.0, requires_grad=True)
        >>> at = torch.tensor([1.0, 2.0])
        >>> value, gradient = cost_and_gradient(lambda z: weight * z.square(), at)
        >>> value, gradient
        (tensor([ 3., 12.]), tensor([ 6., 12.]))
    """

    def smooth(z: Tensor) -> Tensor:
        found = cost(z)
        if not found.is_floating_point():
            raise Unsupported(f"a cost of {found.dtype} has no slope; try estimator 'rloo'")
        return found

    transform: Any = torch.func.vjp
    with torch.no_grad():
        value, pull = transform(smooth, at.detach())
        (gradient,) = pull(torch.ones_like(value))
    return value, gradient
