"""Published algorithms for k-subsets, written straightforwardly, as baselines of the benchmarks."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit.aliases import Generator

__all__ = ["sequential_draw", "successive_softmax"]


def successive_softmax(scores: Tensor, k: int, temperature: float) -> Tensor:  # [..., n]
    """Return the sum of k softmaxes, each of scores reduced by the mass of the previous ones.

    The result sums to k, but its entries may exceed 1.

    Reference: Xie and Ermon, arXiv:1901.10517, section 3.3.

    Example:
        >>> soft = successive_softmax(torch.tensor([3.0, 0.0, 0.0]), 2, 1.0)
        >>> round(soft.sum().item(), 4), bool(soft.max() > 1)
        (2.0, True)
    """
    tiny = torch.finfo(scores.dtype).tiny
    total = torch.zeros_like(scores)
    part = torch.zeros_like(scores)
    for _ in range(k):
        scores = scores + torch.log((1 - part).clamp_min(tiny))
        part = torch.softmax(scores / temperature, -1)
        total = total + part
    return total


def sequential_draw(
    logits: Tensor, k: int, generator: Generator = None
) -> Tensor:  # [batch, n] -> [batch, n]
    """Draw an exact sample item by item from the full recursion table: O(n k) memory per row."""
    table = [torch.full((len(logits), k + 1), -1e30, dtype=logits.dtype, device=logits.device)]
    table[0][:, 0] = 0
    for logit in logits.split(1, -1):
        last = table[-1]
        take = torch.logaddexp(last[:, 1:], last[:, :-1] + logit)
        table.append(torch.cat([last[:, :1], take], -1))
    left = torch.full((len(logits), 1), k, device=logits.device)
    uniform = torch.rand(
        logits.shape, dtype=logits.dtype, device=logits.device, generator=generator
    ).log_()
    drawn = []
    for i in reversed(range(logits.shape[-1])):
        with_it = table[i].gather(-1, (left - 1).clamp_min(0)) + logits[:, i : i + 1]
        taken = (left > 0) & (uniform[:, i : i + 1] < with_it - table[i + 1].gather(-1, left))
        drawn.append(taken)
        left = left - taken.long()
    return torch.cat(drawn[::-1], -1).to(logits.dtype)
