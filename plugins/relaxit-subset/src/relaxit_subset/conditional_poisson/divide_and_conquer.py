"""Exact samples from the conditional Poisson distribution, by divide and conquer.

Items are the leaves of a binary tree. On the way up, each node gets the distribution of the number
of chosen items below it under independence: the convolution of the distributions of its children.
On the way down from the root, where the number is k, each node splits its number between its
children according to these distributions. The depth is log2(n), and each level is processed for
all nodes, rows and samples at once. With balanced logits (:mod:`relaxit_subset.relaxed.balance`)
the numbers that occur lie near their means, so that plain probabilities suffice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit import noise
from relaxit.aliases import Generator

__all__ = ["draw"]


def draw(logits: Tensor, k: int, shape: torch.Size, generator: Generator = None) -> Tensor:
    """Draw subsets ``[*shape, *batch, n]`` as integers 0 and 1.

    Args:
        logits: balanced logits ``[*batch, n]``; may be infinite.
        k: number of items that are chosen.
        shape: shape of the independent samples.
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
    """Return the distributions of the counts, leaves first: ``[*batch, nodes, counts]`` per level.

    Counts above k are dropped. The leaves that pad the tree to a power of two are never chosen.
    """
    n = int(logits.shape[-1])  # a tensor while torch.jit.trace runs
    leaves = 1 << (n - 1).bit_length()
    logits = torch.nn.functional.pad(logits, (0, leaves - n), value=-torch.inf)
    levels = [torch.stack([torch.sigmoid(-logits), torch.sigmoid(logits)], -1)]
    while levels[-1].shape[-2] > 1:
        children = levels[-1]
        levels.append(_convolve(children[..., 0::2, :], children[..., 1::2, :], k + 1))
    return levels


def _convolve(left: Tensor, right: Tensor, most: int) -> Tensor:
    """Return the distribution of a sum of two counts, truncated to ``most`` entries."""
    width = left.shape[-1]
    size = max(width, min(2 * width - 1, most))
    total = torch.zeros_like(torch.nn.functional.pad(left, (0, size - width)))
    for i in range(width):
        reach = min(width, size - i)
        total[..., i : i + reach].addcmul_(left[..., i : i + 1], right[..., :reach])
    return total


def _divide(number: Tensor, left: Tensor, right: Tensor, uniform: Tensor) -> Tensor:
    """Draw how many of ``number [..., nodes]`` go left, by inverting the distribution function."""
    width = left.shape[-1]
    if width == 2:  # pairs of items, half of the work: one of the two is drawn, if any is
        first = left[..., 1] * right[..., 0]
        second = left[..., 0] * right[..., 1]
        takes_first = uniform * (first + second) < first
        return (((number == 1) & takes_first) | (number == 2)).to(number.dtype)
    remaining = number.unsqueeze(-1) - torch.arange(width, device=number.device)
    possible = (remaining >= 0) & (remaining < width)
    chances = right.expand(*number.shape, width).gather(-1, remaining.clamp(0, width - 1))
    steps = (left * chances * possible).cumsum(-1)
    # The uniform number is below 1, so its product with the last step is below that step.
    return (steps <= uniform.unsqueeze(-1) * steps[..., -1:]).sum(-1)
