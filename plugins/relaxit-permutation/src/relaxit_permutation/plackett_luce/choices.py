"""An order as a sequence of choices, each a softmax over the items that are left."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["in_order", "log_choices", "log_mass"]


def in_order(scores: Tensor, order: Tensor) -> Tensor:  # [*batch, n], [..., n] -> [..., n]
    """The scores of the items of an order; batch shapes broadcast."""
    full = torch.broadcast_shapes(scores.shape, order.shape)
    return scores.expand(full).gather(-1, order.expand(full))


def log_choices(ordered: Tensor) -> Tensor:  # [..., n] -> [..., n, n]
    """Log-probability, at step i, that the item of rank j is next; ``-inf`` for one that is gone.

    Example:
        >>> log_choices(torch.zeros(2)).exp()
        tensor([[0.5000, 0.5000],
                [0.0000, 1.0000]])
    """
    n = ordered.shape[-1]
    gone = torch.ones(n, n, dtype=torch.bool, device=ordered.device).tril(-1)
    return ordered.unsqueeze(-2).masked_fill(gone, -torch.inf).log_softmax(-1)


def log_mass(choices: Tensor) -> Tensor:  # [..., n, n] -> [...]
    """Log-probability that the items are chosen in order.

    Example:
        >>> log_mass(log_choices(torch.zeros(3))).exp()
        tensor(0.1667)
    """
    return choices.diagonal(dim1=-2, dim2=-1).sum(-1)
