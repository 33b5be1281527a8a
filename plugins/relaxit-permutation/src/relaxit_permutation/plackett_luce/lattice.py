r"""Plackett-Luce as a walk through sets: exact sums over all orders, without listing them.

An order is drawn by repeatedly choosing the next item, with softmax probabilities, among the
remaining ones. The next choice depends only on the set R of remaining items, not on their history.
So with

    P(R) = sum_{j not in R} P(R + j) softmax_{R + j}(s)_j,      P(all items) = 1,

every expectation of a sum over the choices of an order is a sum over 2^n sets instead of n! orders:

    P(item j has rank i)  =  sum_{|R| = n - i} P(R) softmax_R(s)_j          (ranks from 0)
    entropy               =  sum_R P(R) H(softmax_R(s))
    KL divergence         =  sum_R P(R) KL(softmax_R(s), softmax_R(s'))

The last two follow from the chain rule. Their terms all have the same sign, and nothing cancels.
The sets are numbered by tensor arithmetic only, which ``torch.compile`` can trace.

References: Plackett, Applied Statistics 24 (1975); Luce, "Individual Choice Behavior" (1959); Held
and Karp, J. SIAM 10 (1962) (sums over sets instead of orders).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from relaxit_permutation.matrices.rounding import sorted_stably

__all__ = ["Step", "entropy", "kl", "marginals", "walk"]

Step = tuple[Tensor, Tensor, Tensor]
"""For all C sets of m items: their items ``[C, m]``, the probability ``[*batch, C]`` that exactly
these items remain, and the log-probability ``[*batch, C, m]`` of each item to be chosen next."""


def walk(scores: Tensor) -> Iterator[Step]:
    """Yield the sets of n, n - 1, ..., 1 items, all sets of one size at a time.

    Args:
        scores: finite scores ``[*batch, n]``.

    Example:
        >>> [reached for _, reached, _ in walk(torch.zeros(2))]
        [tensor([1.]), tensor([0.5000, 0.5000])]
    """
    n = scores.shape[-1]
    reached = torch.ones_like(scores[..., :1])
    for members, smaller in _levels(n, scores.device):
        log_choice = scores[..., members].log_softmax(-1)
        yield members, reached, log_choice
        flow = reached.unsqueeze(-1) * log_choice.exp()
        sets = math.comb(n, members.shape[-1] - 1)
        reached = _collect(flow, smaller, sets)


def _levels(n: int, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Return, for all sets of each size, their items and the index of the set without each item."""
    power = 2 ** torch.arange(n, device=device)  # no shifts, which ONNX lacks
    masks = torch.arange(1 << n, device=device)
    held = (torch.bitwise_and(masks.unsqueeze(-1), power) != 0).long()  # [2^n, n]
    by_size = sorted_stably(held.sum(-1))[1]  # sets of the same size are adjacent
    place = by_size.argsort()
    first_items = sorted_stably(held, descending=True)[1]
    levels, end = [], 1 << n
    for m in range(n, 0, -1):
        start = end - math.comb(n, m)
        sets = by_size[start:end]
        members = first_items[sets, :m]
        smaller = place[sets.unsqueeze(-1) - power[members]] - (start - math.comb(n, m - 1))
        levels.append((members, smaller))
        end = start
    return levels


def _collect(flow: Tensor, target: Tensor, size: int) -> Tensor:  # [*batch, C, m] -> [*batch, size]
    """Sum the entries of ``flow`` that have the same ``target`` ``[C, m]``."""
    zeros = torch.zeros_like(flow[..., 0, :1]).expand(*flow.shape[:-2], size)
    return zeros.index_add(-1, target.flatten(), flow.flatten(-2))


def marginals(scores: Tensor) -> Tensor:  # [*batch, n] -> [*batch, n, n]
    """Return the probabilities, in row i and column j, that item j has rank i.

    Example:
        >>> marginals(torch.tensor([0.0, 1.0]))
        tensor([[0.2689, 0.7311],
                [0.7311, 0.2689]])
    """
    rows = [
        _collect(reached.unsqueeze(-1) * log_choice.exp(), members, scores.shape[-1])
        for members, reached, log_choice in walk(scores)
    ]
    return torch.stack(rows, -2)


def entropy(scores: Tensor) -> Tensor:  # [*batch, n] -> [*batch]
    """Return the entropy of the order in nats.

    Example:
        >>> entropy(torch.zeros(3)).exp()  # six orders
        tensor(6.)
    """
    parts = [
        -(reached * (log_choice.exp() * log_choice).sum(-1)).sum(-1)
        for _, reached, log_choice in walk(scores)
    ]
    return torch.stack(parts).sum(0)


def kl(scores: Tensor, other: Tensor | None) -> Tensor:  # [*batch, n] twice -> [*batch]
    """Return the KL divergence in nats from the distribution of the other scores, uniform if None.

    Example:
        >>> kl(torch.tensor([0.0, 1.0]), None)
        tensor(0.1109)
    """
    parts = []
    for members, reached, log_choice in walk(scores):
        log_other: Tensor | float = -math.log(members.shape[-1])
        if other is not None:
            log_other = other[..., members].log_softmax(-1)
        divergence = (log_choice.exp() * (log_choice - log_other)).sum(-1)
        parts.append((reached * divergence).sum(-1))
    return torch.stack(parts).sum(0)
