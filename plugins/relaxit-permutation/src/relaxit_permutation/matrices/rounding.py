"""Orders as matrices, and the permutation to which a soft matrix rounds.

The convention of this package is that a permutation matrix P has P[i, j] = 1 if item j has rank i.
Rows are ranks, from the greatest score down, columns are items, and ``P @ x`` sorts x. (diffsort
returns the transpose.)
"""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit.dtypes import compute_dtype
from relaxit.tracing import exporting_to_onnx

__all__ = ["matrix_of", "order_of", "sorted_stably", "sorting_matrix"]


def sorted_stably(x: Tensor, descending: bool = False) -> tuple[Tensor, Tensor]:
    """Return sorted entries ``[..., n]`` and their indices; ties keep their order.

    Example:
        >>> values, indices = sorted_stably(torch.tensor([1.0, 2.0, 1.0]))
        >>> values, indices
        (tensor([1., 1., 2.]), tensor([0, 2, 1]))
    """
    if exporting_to_onnx():  # which has no stable sort, but the ties of its TopK keep their order
        return x.topk(x.shape[-1], -1, descending)
    return x.sort(dim=-1, descending=descending, stable=True)


def matrix_of(order: Tensor, dtype: torch.dtype) -> Tensor:  # [..., n] -> [..., n, n]
    """Return the matrix whose row i has its one in column ``order[i]``, the item of rank i.

    Example:
        >>> matrix_of(torch.tensor([2, 0, 1]), torch.float32)
        tensor([[0., 0., 1.],
                [1., 0., 0.],
                [0., 1., 0.]])
    """
    n = order.shape[-1]
    zeros = torch.zeros((), dtype=dtype, device=order.device).expand(*order.shape, n)
    return zeros.scatter(-1, order.unsqueeze(-1), 1.0)


def sorting_matrix(scores: Tensor) -> Tensor:  # [..., n] -> [..., n, n]
    """Return the permutation matrix that sorts scores in descending order; ties keep their order.

    Example:
        >>> sorting_matrix(torch.tensor([0.5, 0.5, 2.0])) @ torch.tensor([1.0, 2.0, 3.0])
        tensor([3., 1., 2.])
    """
    return matrix_of(sorted_stably(scores, descending=True)[1], scores.dtype)


def order_of(soft: Tensor) -> Tensor:  # [..., n, n] -> [..., n]
    """Return the item of each rank, which is a permutation for every non-negative matrix.

    If the maxima of the rows lie in different columns, they give the order, and its matrix is the
    nearest permutation matrix. Otherwise items are sorted by their mean rank under their column,
    and ties by their index. Rows of SoftSort and NeuralSort have their maximum at the item of that
    rank, and the mean ranks are in the same order. Two of their rows can share a maximum only by
    rounding, and then the order is correct up to rounding.

    Example:
        >>> order_of(torch.tensor([[0.4, 0.3, 0.3], [0.1, 0.6, 0.3], [0.0, 0.1, 0.9]]))
        tensor([0, 1, 2])
        >>> order_of(torch.tensor([[0.0, 0.0, 1.0], [0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]))
        tensor([2, 0, 1])
    """
    n = soft.shape[-1]
    wide = soft.to(compute_dtype(soft.dtype))
    rank = torch.arange(n, device=soft.device)
    greatest = wide.argmax(-1)
    different = (greatest.sort(-1).values == rank).all(-1, keepdim=True)
    weight = wide.sum(-2).clamp_min(torch.finfo(wide.dtype).tiny)
    mean_rank = (wide * rank.to(wide.dtype).unsqueeze(-1)).sum(-2) / weight
    return torch.where(different, greatest, sorted_stably(mean_rank)[1])
