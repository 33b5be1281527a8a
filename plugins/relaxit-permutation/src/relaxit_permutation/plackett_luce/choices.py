"""An order as a sequence of choices, each a softmax over the remaining items."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit_permutation.sorting.items import pad_places

__all__ = [
    "always_possible",
    "in_order",
    "log_choices",
    "log_first",
    "log_mass",
    "pads_in_place",
]


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


def pads_in_place(pads: Tensor, order: Tensor) -> Tensor:  # [*batch, n], [..., k] -> [...] of bool
    """Whether the pads of an order stand behind all items, in the order of their index.

    Args:
        pads: which entries are pads.
        order: items of the first k places, -1 where they are not known.

    Example:
        >>> pads = torch.tensor([True, False, True])
        >>> pads_in_place(pads, torch.tensor([[1, 0, 2], [1, 2, 0], [0, 1, 2]]))
        tensor([ True, False, False])
    """
    k, n = order.shape[-1], pads.shape[-1]
    lead = torch.broadcast_shapes(pads.shape[:-1], order.shape[:-1])
    places = pad_places(pads)
    index = order.clamp(0, n - 1).expand(*lead, k)
    own = places.expand(*lead, n).gather(-1, index)
    right = own == torch.arange(k, device=order.device)
    return (right | (own < 0) | (order < 0)).all(-1)


def always_possible(pads: Tensor, other: Tensor) -> Tensor:  # [..., n] twice -> [...] of bool
    """Whether each order that these pads allow puts the other pads in their places too.

    Two orders decide: with the items by their index, and with the items in reverse. If an item is a
    pad of the other list, all behind it must be such pads; in both orders that makes all items
    pads, of which one order only is right.

    Args:
        pads: which entries are pads in the orders.
        other: which entries must stand behind all others, in the order of their index.

    Example:
        >>> pads = torch.tensor([False, True, True])
        >>> always_possible(pads, torch.tensor([[False, False, True], [False, True, False]]))
        tensor([ True, False])
    """
    items, last = ~pads, pad_places(pads)
    number = items.cumsum(-1)
    rising = torch.where(pads, last, number - 1)
    falling = torch.where(pads, last, number[..., -1:] - number)
    own = pad_places(other)
    return (((rising == own) & (falling == own)) | ~other).all(-1)


def log_first(scores: Tensor, order: Tensor) -> Tensor:  # [*batch, n], [..., k] -> [...]
    """Return the log-probability that the given items are the first ones, in this order.

    It takes k n numbers. An item that occurs twice makes it ``-inf``, and so does a gap.

    Args:
        scores: finite scores.
        order: items of the first k places, -1 from where on they are not known.

    Example:
        >>> log_first(torch.zeros(3), torch.tensor([[2, 0, 1], [2, 0, -1], [2, -1, -1]])).exp()
        tensor([0.1667, 0.1667, 0.3333])
    """
    n = scores.shape[-1]
    given = order >= 0
    index = order.clamp(0, n - 1)
    item = torch.arange(n, device=order.device)
    chosen = (index.unsqueeze(-1) == item) & given.unsqueeze(-1)  # [..., k, n]
    gone = chosen.cumsum(-2) - chosen.to(torch.int64) > 0
    left = scores.unsqueeze(-2).masked_fill(gone, -torch.inf).log_softmax(-1)
    full = (*left.shape[:-1], 1)
    log = left.gather(-1, index.unsqueeze(-1).expand(full)).squeeze(-1)
    gap = given[..., 1:] & ~given[..., :-1]
    wrong = (order != index) & given
    broken = wrong.any(-1) | gap.any(-1)
    return torch.where(given, log, 0.0).sum(-1).masked_fill(broken, -torch.inf)
