"""Spanning trees of the greatest total score, for a batch of graphs at once."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["best_tree"]


def best_tree(scores: Tensor) -> Tensor:
    """Return the spanning tree with the greatest sum of scores, ``[*batch, n, n]``.

    The tree grows from node 0 and takes the best edge that leaves it, n - 1 times, each time in all
    graphs of the batch. Edges of ``-inf`` are taken only where nothing else leaves the tree.

    Args:
        scores: symmetric scores ``[*batch, n, n]``; the diagonal is not read.

    Returns:
        A symmetric matrix of zeros and ones in the dtype of scores, also for ties. No gradient.

    Reference: Prim, "Shortest Connection Networks and Some Generalizations", Bell Syst. Tech. J. 36
    (1957).

    Example:
        >>> best_tree(torch.tensor([[0.0, 3.0, 1.0], [3.0, 0.0, 2.0], [1.0, 2.0, 0.0]]))
        tensor([[0., 1., 0.],
                [1., 0., 1.],
                [0., 1., 0.]])
    """
    n = int(scores.shape[-1])  # a tensor while torch.jit.trace runs
    scores = scores.detach()
    # Not -inf, which marks the nodes of the tree.
    scores = scores.clamp_min(torch.finfo(scores.dtype).min)
    nodes = torch.arange(n, device=scores.device)
    best = scores[..., 0, :].masked_fill(nodes == 0, -torch.inf)  # of the edges into each node
    near = torch.zeros_like(best, dtype=torch.int64)  # their other ends
    for _ in range(n - 1):
        new = best.argmax(-1, keepdim=True)
        best = best.masked_fill(nodes == new, -torch.inf)
        row = scores.gather(-2, new.unsqueeze(-1).expand(*new.shape, n)).squeeze(-2)
        closer = (row > best) & (best > -torch.inf)
        near = torch.where(closer, new, near)
        best = torch.where(closer, row, best)
    arrows = (near.unsqueeze(-1) == nodes) & (nodes > 0).unsqueeze(-1)
    return (arrows | arrows.mT).to(scores.dtype)
