"""Division of scores by a temperature, safe for masked scores."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["cool", "may_learn"]


def may_learn(temperature: float | Tensor) -> bool:
    """Whether a gradient may be asked for the temperature.

    Under ``torch.func``'s transforms a tensor does not say so, and is taken to ask.

    Example:
        >>> may_learn(0.5), may_learn(torch.tensor(0.5)), may_learn(torch.ones(2).requires_grad_())
        (False, False, True)
    """
    if not isinstance(temperature, Tensor):
        return False
    if torch.compiler.is_compiling():
        return temperature.requires_grad
    return temperature.requires_grad or torch._C._are_functorch_transforms_active()


def cool(scores: Tensor, temperature: float | Tensor) -> Tensor:
    """``scores / temperature``, with a finite gradient in a temperature that is learned.

    An infinite score stays what it is at every temperature, but the derivative of the quotient in
    the temperature there is infinite, and times the zero gradient that arrives it is NaN. So
    infinite scores are left out of the division, where a gradient may ask.

    Args:
        scores: any shape; ``-inf`` and ``+inf`` allowed.
        temperature: float, or tensor that broadcasts against scores.

    Example:
        >>> cool(torch.tensor([1.0, -torch.inf]), 0.5)
        tensor([2., -inf])
    """
    if not may_learn(temperature):
        return scores / temperature
    infinite = scores.isinf()
    return torch.where(infinite, scores, scores.masked_fill(infinite, 0.0) / temperature)
