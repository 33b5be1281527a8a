"""Exact draws from the conditional Poisson law, by divide and conquer.

Items are the leaves of a binary tree. Going up, each node gets the law of the number of chosen
items below it, were all items independent: the convolution of its children's. Going down from the
root, where the number is k, each node divides its number between its children according to those
laws. The depth is log2(n), and each level takes all nodes, rows and samples at once. With
logits balanced (:mod:`relaxit_subset.relaxed.balance`) plain probabilities do: the numbers that are
met lie near their means.
"""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit import noise

__all__ = ["draw"]


def draw(
    logits: Tensor, k: int, shape: torch.Size, generator: torch.Generator | None = None
) -> Tensor:
    """Subsets ``[*shape, *batch, n]`` of 0 and 1, as integers.

    Args:
        logits: ``[*batch, n]``, balanced; may be infinite.
        k: how many items are chosen.
        shape: of the independent draws.
        generator: source of randomness; the global one if None.
    """
    n = logits.shape[-1]
    levels = _distributions(logits, k)
    number = torch.full((*shape, *logits.shape[:-1], 1), k, dtype=torch.int64, device=logits.device)
    for distributions in reversed(levels[:-1]):
        left, right = distributions[..., 0::2, :], distributions[..., 1::2, :]
        uniform = noise.uniform(
            number.shape, dtype=logits.dtype, device=logits.device, generator=generator
        )
        part = _divide(number, left, right, uniform)
        number = torch.stack([part, number - part], -1).flatten(-2)
    return number[..., :n]


def _distributions(logits: Tensor, k: int) -> list[Tensor]:
    """Laws of the numbers below the nodes, leaves first: ``[*batch, nodes, numbers]``.

    Numbers above k are not kept. The last items of a tree that is not full are never chosen.
    """
    n = logits.shape[-1]
    leaves = 1 << (n - 1).bit_length()
    logits = torch.nn.functional.pad(logits, (0, leaves - n), value=-torch.inf)
    levels = [torch.stack([torch.sigmoid(-logits), torch.sigmoid(logits)], -1)]
    while levels[-1].shape[-2] > 1:
        children = levels[-1]
        levels.append(_convolve(children[..., 0::2, :], children[..., 1::2, :], k + 1))
    return levels


def _convolve(left: Tensor, right: Tensor, most: int) -> Tensor:
    """The law of a sum, its first ``most`` entries."""
    width = left.shape[-1]
    size = max(width, min(2 * width - 1, most))
    total = torch.zeros_like(torch.nn.functional.pad(left, (0, size - width)))
    for i in range(width):
        reach = min(width, size - i)
        total[..., i : i + reach].addcmul_(left[..., i : i + 1], right[..., :reach])
    return total


def _divide(number: Tensor, left: Tensor, right: Tensor, uniform: Tensor) -> Tensor:
    """How many of ``number`` ``[..., nodes]`` go left, by inverting the distribution function."""
    width = left.shape[-1]
    if width == 2:  # two items: only one of two has to be drawn, half of all the work
        first = left[..., 1] * right[..., 0]
        second = left[..., 0] * right[..., 1]
        one = uniform * (first + second) < first
        return torch.where(number == 1, one, number == 2).to(number.dtype)
    others = number.unsqueeze(-1) - torch.arange(width, device=number.device)
    possible = (others >= 0) & (others < width)
    chances = right.expand(*number.shape, width).gather(-1, others.clamp(0, width - 1))
    steps = (left * chances * possible).cumsum(-1)
    # The uniform number is below 1, and its product with the last step below that step.
    return (steps <= uniform.unsqueeze(-1) * steps[..., -1:]).sum(-1)
