"""Dimensions mapped by ``vmap``, for operators that take batches anyway."""

from __future__ import annotations

from torch import Tensor

__all__ = ["in_front"]


def in_front(tensor: Tensor, dim: int | None, size: int, rank: int) -> Tensor:
    """The mapped dimension in front; a tensor that has none gets it, or is left to broadcast.

    Args:
        tensor: what an operator's rule for ``vmap`` was given.
        dim: its mapped dimension, if it has one.
        size: of the mapped dimension.
        rank: how many dimensions the result has at least; 0 for a tensor that must not broadcast.
    """
    if dim is None:
        return tensor if rank else tensor.expand(size, *tensor.shape)
    moved = tensor.movedim(dim, 0)
    missing = rank - moved.dim()
    return moved.reshape(moved.shape[0], *(1,) * missing, *moved.shape[1:])
