"""An order as a sequence of choices, each a softmax over the remaining items."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["in_order", "log_choices", "log_mass"]


def in_order(scores: Tensor, order: Tensor) -> Tensor:  # [*batch, n], [..., n] -> [..., n]
    """Return the scores of the items in a given order; batch shapes broadcast."""
    shape = torch.broadcast_shapes(scores.shape, order.shape)
    return scores.expand(shape).gather(-1, order.expand(shape))


def log_choices(ordered: Tensor) -> Tensor:  # [..., n] -> [..., n, n]
    """Return the log-probability, at step i, that the item of rank j is next; ``-inf`` if gone.

    Example:
        >>> log_choices(torch.zeros(2)).exp()
        tensor([[0.5000, 0.5000],
                [0.0000, 1.0000]])
    """
    n = ordered.shape[-1]
    gone = torch.ones(n, n, dtype=torch.bool, device=ordered.device).tril(-1)
    return ordered.unsqueeze(-2).masked_fill(gone, -torch.inf).log_softmax(-1)


def log_mass(choices: Tensor) -> Tensor:  # [..., n, n] -> [...]
    """Return the log-probability that the items are chosen in order.

    Example:
        >>> log_mass(log_choices(torch.zeros(3))).exp()
        tensor(0.1667)
    """
    return choices.diagonal(dim1=-2, dim2=-1).sum(-1)
