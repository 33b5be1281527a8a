"""How params and values of a structure stand for an undirected graph of N nodes.

Values are adjacency matrices ``[N, N]``, or vectors ``[N (N - 1) / 2]`` with an entry for each pair
of nodes, in the order of the entries above the diagonal, row by row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from relaxit_graph.edges.vectors import adjacency, edge_vector

__all__ = ["adjacency_of", "nodes_of", "params_of"]


def nodes_of(shape: Sequence[int]) -> int:
    """Return the number of nodes of graphs with values of this shape; 0 if there are none.

    Example:
        >>> nodes_of([5, 5]), nodes_of([10]), nodes_of([11]), nodes_of([5, 4])
        (5, 5, 0, 0)
    """
    if len(shape) == 2:
        return shape[0] if shape[0] == shape[1] else 0
    if len(shape) != 1:
        return 0
    nodes = (1 + math.isqrt(1 + 8 * shape[0])) // 2
    return nodes if nodes * (nodes - 1) == 2 * shape[0] else 0


def params_of(scores: Tensor, shape: Sequence[int]) -> Tensor:
    """Return params ``[B, *shape]`` of symmetric scores ``[B, N, N]`` of the pairs of nodes."""
    return scores if len(shape) == 2 else edge_vector(scores)


def adjacency_of(value: Tensor, shape: Sequence[int]) -> Tensor:
    """Return symmetric adjacency matrices ``[..., N, N]`` of values ``[..., *shape]``.

    Two nodes of a directed graph are joined if there is an edge in either direction. The diagonal,
    where some structures mark a root, becomes zero. Values may be soft.

    Example:
        >>> adjacency_of(torch.tensor([[1.0, 0.2], [0.7, 0.0]]), [2, 2])
        tensor([[0.0000, 0.7000],
                [0.7000, 0.0000]])
    """
    if len(shape) == 1:
        return adjacency(value)
    diagonal = torch.eye(shape[0], dtype=torch.bool, device=value.device)
    return torch.maximum(value, value.mT).masked_fill(diagonal, 0.0)
