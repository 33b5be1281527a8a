"""Division of scores by a temperature, safe for masked scores."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["cool"]


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
    if not isinstance(temperature, Tensor) or not temperature.requires_grad:
        return scores / temperature
    infinite = scores.isinf()
    return torch.where(infinite, scores, scores.masked_fill(infinite, 0.0) / temperature)
