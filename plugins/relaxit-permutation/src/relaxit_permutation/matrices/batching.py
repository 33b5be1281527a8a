"""Dimensions mapped by ``vmap``, for operators that support batches themselves."""

from __future__ import annotations

from torch import Tensor

__all__ = ["in_front"]


def in_front(tensor: Tensor, dim: int | None, size: int, rank: int) -> Tensor:
    """Move the mapped dimension to the front.

    A tensor without a mapped dimension is expanded by one, or is left to broadcast.

    Args:
        tensor: argument of an operator's ``vmap`` rule.
        dim: mapped dimension of the tensor, if it has one.
        size: size of the mapped dimension.
        rank: smallest number of dimensions of the result; 0 for a tensor that must not broadcast.
    """
    if dim is None:
        return tensor if rank else tensor.expand(size, *tensor.shape)
    moved = tensor.movedim(dim, 0)
    missing = rank - moved.dim()
    return moved.reshape(moved.shape[0], *(1,) * missing, *moved.shape[1:])
