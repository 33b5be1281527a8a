"""Pairs of nodes: how params and values of a structure stand for an undirected graph.

A structure over graphs of N nodes has values ``[N, N]``, adjacency matrices, or values
``[N (N - 1) / 2]``, one entry for each pair i < j in the order of the rows of the matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["adjacency_of", "nodes_of", "pair_indices", "params_of"]


def nodes_of(shape: Sequence[int]) -> int:
    """Return the number of nodes of graphs whose values have this shape; 0 if it is of none.

    Example:
        >>> nodes_of([5, 5]), nodes_of([10]), nodes_of([11]), nodes_of([5, 4])
        (5, 5, 0, 0)
    """
    if len(shape) == 2 and shape[0] == shape[1]:
        return shape[0]
    if len(shape) != 1:
        return 0
    nodes = (1 + math.isqrt(1 + 8 * shape[0])) // 2
    return nodes if nodes * (nodes - 1) == 2 * shape[0] else 0


def pair_indices(nodes: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Return the first and the second node of each pair, ``[P]`` each."""
    first, second = torch.triu_indices(nodes, nodes, 1, device=device)
    return first, second


def params_of(scores: Tensor, shape: Sequence[int]) -> Tensor:
    """Return params ``[B, *shape]`` from symmetric scores ``[B, N, N]`` of the pairs.

    Example:
        >>> scores = torch.tensor([[[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]]])
        >>> params_of(scores, [3])
        tensor([[1., 2., 3.]])
    """
    if len(shape) == 2:
        return scores
    first, second = pair_indices(scores.shape[-1], scores.device)
    return scores[..., first, second]


def adjacency_of(value: Tensor, shape: Sequence[int]) -> Tensor:
    """Return symmetric adjacency matrices ``[..., N, N]`` of values ``[..., *shape]``, maybe soft.

    Two nodes of a directed graph are joined if there is an edge in either direction. The diagonal,
    in which some structures mark a root, becomes zero.

    Example:
        >>> adjacency_of(torch.tensor([1.0, 0.0, 0.5]), [3])
        tensor([[0.0000, 1.0000, 0.0000],
                [1.0000, 0.0000, 0.5000],
                [0.0000, 0.5000, 0.0000]])
    """
    if len(shape) == 2:
        other = ~torch.eye(shape[0], dtype=torch.bool, device=value.device)
        return torch.maximum(value, value.mT) * other
    nodes = nodes_of(shape)
    first, second = pair_indices(nodes, value.device)
    place = torch.zeros(nodes, nodes, dtype=torch.long, device=value.device)
    place[first, second] = torch.arange(1, len(first) + 1, device=value.device)
    padded = torch.nn.functional.pad(value, (1, 0))  # entry 0 is that of the diagonal
    return padded[..., place + place.mT]
