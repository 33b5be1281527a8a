"""Edges of a graph as a vector, and as a matrix."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from relaxit import ShapeError
from relaxit.dtypes import compute_dtype
from relaxit.shapes import plain_shape

__all__ = ["adjacency", "arc_matrix", "arc_vector", "edge_vector", "symmetric"]


def edge_vector(matrix: Tensor) -> Tensor:  # [..., n, n] -> [..., n (n - 1) / 2]
    """Return one number for each edge, the mean of both entries of a matrix.

    Edges are in the order 01, 02, ..., 12, ...: that of the entries above the diagonal, row by row.
    It maps params, soft and hard values; the diagonal is not read.

    Raises:
        ShapeError: if the last two dimensions are not a square matrix.

    Example:
        >>> edge_vector(torch.tensor([[9.0, 1.0, 2.0], [1.0, 9.0, 3.0], [2.0, 3.0, 9.0]]))
        tensor([1., 2., 3.])
    """
    n = _nodes(matrix)
    above, below = torch.triu_indices(n, n, 1, device=matrix.device).unbind()
    flat = matrix.to(compute_dtype(matrix.dtype)).flatten(-2)  # the sum might overflow in float16
    first, second = (flat.index_select(-1, at) for at in (above * n + below, below * n + above))
    return ((first + second) / 2).to(matrix.dtype)


def adjacency(vector: Tensor) -> Tensor:  # [..., n (n - 1) / 2] -> [..., n, n]
    """Return the symmetric matrix, with zeros on the diagonal, of a number for each edge.

    The inverse of :func:`edge_vector` for params, soft and hard values.

    Raises:
        ShapeError: if the last dimension is not the number of edges of a complete graph.

    Example:
        >>> adjacency(torch.tensor([1.0, 2.0, 3.0]))
        tensor([[0., 1., 2.],
                [1., 0., 3.],
                [2., 3., 0.]])
    """
    edges = plain_shape(vector)[-1]
    n = (1 + math.isqrt(1 + 8 * edges)) // 2
    if n * (n - 1) // 2 != edges:
        raise ShapeError(
            f"adjacency: {edges} is not the number of edges n (n - 1) / 2 of a complete graph"
        )
    node = torch.arange(n, device=vector.device)
    low = torch.minimum(node, node.unsqueeze(-1))
    high = torch.maximum(node, node.unsqueeze(-1))
    place = low * (2 * n - low - 1) // 2 + high - low - 1
    return _spread(vector, torch.where(low == high, edges, place))


def arc_vector(matrix: Tensor) -> Tensor:  # [..., n, n] -> [..., n (n - 1)]
    """Return the entries off the diagonal, row by row.

    Example:
        >>> arc_vector(torch.tensor([[9.0, 1.0], [2.0, 9.0]]))
        tensor([1., 2.])
    """
    n = _nodes(matrix)
    place = torch.arange(n * (n - 1), device=matrix.device)
    return matrix.flatten(-2).index_select(-1, place + place // max(n, 1) + 1)


def arc_matrix(vector: Tensor, nodes: int) -> Tensor:  # [..., n (n - 1)] -> [..., n, n]
    """Return the matrix with these entries off the diagonal, and zeros on it.

    Example:
        >>> arc_matrix(torch.tensor([1.0, 2.0]), nodes=2)
        tensor([[0., 1.],
                [2., 0.]])
    """
    node = torch.arange(nodes, device=vector.device)
    head, child = node.unsqueeze(-1), node
    place = head * (nodes - 1) + child - (child > head).long()
    return _spread(vector, torch.where(head == child, nodes * (nodes - 1), place))


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


def _nodes(matrix: Tensor) -> int:
    shape = plain_shape(matrix)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ShapeError(f"a matrix of edges must be [*, n, n], got {list(shape)}")
    return shape[-1]


def _spread(vector: Tensor, place: Tensor) -> Tensor:
    """Return ``vector[place]``, and 0 for the place after the last one."""
    padded = torch.nn.functional.pad(vector, (0, 1))
    return padded.index_select(-1, place.flatten()).unflatten(-1, place.shape)
