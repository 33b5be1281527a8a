"""Edges of an undirected graph: symmetric matrices and vectors of one number per edge."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["edge_scores", "matrix_of_edges", "symmetric"]


def symmetric(params: Tensor) -> Tensor:
    """Return the mean of a matrix ``[..., n, n]`` and its transpose, with a diagonal of zeros.

    Example:
        >>> symmetric(torch.tensor([[5.0, 1.0], [3.0, 5.0]]))
        tensor([[0., 2.],
                [2., 0.]])
    """
    diagonal = torch.eye(params.shape[-1], dtype=torch.bool, device=params.device)
    halves = params.masked_fill(diagonal, 0.0) / 2
    return halves + halves.mT


def edge_scores(params: Tensor) -> Tensor:
    """Return the score of each edge, ``[..., n (n - 1) / 2]``: those of node 0 first.

    Example:
        >>> edge_scores(torch.arange(9.0).view(3, 3))
        tensor([2., 4., 6.])
    """
    n = int(params.shape[-1])
    i, j = torch.triu_indices(n, n, 1, device=params.device).unbind(0)
    return symmetric(params).flatten(-2).index_select(-1, n * i + j)


def matrix_of_edges(edges: Tensor, nodes: int) -> Tensor:
    """Return the symmetric matrix ``[..., n, n]`` of numbers ``[..., n (n - 1) / 2]``.

    Example:
        >>> matrix_of_edges(torch.tensor([2.0, 4.0, 6.0]), 3)
        tensor([[0., 2., 4.],
                [2., 0., 6.],
                [4., 6., 0.]])
    """
    i, j = torch.triu_indices(nodes, nodes, 1, device=edges.device).unbind(0)
    number = torch.arange(len(i), device=edges.device)
    place = torch.full((nodes, nodes), len(i), device=edges.device)
    place = place.index_put((i, j), number).index_put((j, i), number)
    with_zero = torch.nn.functional.pad(edges, (0, 1))  # for the diagonal
    return with_zero.index_select(-1, place.flatten()).unflatten(-1, (nodes, nodes))
