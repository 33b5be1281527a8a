"""The gradient of a cost at a soft value, without a graph for the parameters of the cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from relaxit.errors import Unsupported

__all__ = ["cost_and_gradient"]


def cost_and_gradient(cost: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    """Return costs ``[*lead]`` at a value and the gradient of their sum, both without graph.

    No gradient reaches the weights of a network that the cost closes over: gradients are
    disabled outside, and the transform enables them for its argument alone. It works in eager code
    and under the transforms of ``torch.func``, where ``torch.autograd.grad`` does not.

    Args:
        cost: function of one value.
        at: value to evaluate the cost at; its own graph is ignored.

    Raises:
        Unsupported: if the costs are not of a floating dtype.

    Example:
        >>> weight = torch.tensor(3.0, requires_grad=True)
        >>> at = torch.tensor([1.0, 2.0])
        >>> value, gradient = cost_and_gradient(lambda z: weight * z.square(), at)
        >>> value, gradient
        (tensor([ 3., 12.]), tensor([ 6., 12.]))
    """

    def smooth(z: Tensor) -> Tensor:
        costs = cost(z)
        if not costs.is_floating_point():
            raise Unsupported(f"a cost of {costs.dtype} has no gradient; try estimator 'rloo'")
        return costs

    transform: Any = torch.func.vjp
    with torch.no_grad():
        value, pull = transform(smooth, at.detach())
        (gradient,) = pull(torch.ones_like(value))
    return value, gradient
