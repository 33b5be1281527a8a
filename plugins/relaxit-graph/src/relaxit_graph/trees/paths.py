"""Which nodes of a graph are joined by paths."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["connected", "paths"]


def paths(allowed: Tensor) -> Tensor:
    """Return between which nodes there is a path, ``[*batch, n, n]`` of bool, from row to column.

    Args:
        allowed: bool ``[*batch, n, n]``, whether there is an edge from row to column. A node has a
            path to itself, so the diagonal is not read.

    Example:
        >>> paths(torch.tensor([[0, 1, 0], [0, 0, 1], [0, 0, 0]]).bool()).int()
        tensor([[1, 1, 1],
                [0, 1, 1],
                [0, 0, 1]], dtype=torch.int32)
    """
    n = int(allowed.shape[-1])  # a tensor while torch.jit.trace runs
    steps = allowed | torch.eye(n, dtype=torch.bool, device=allowed.device)
    for _ in range((n - 1).bit_length()):  # paths of up to 2^k edges
        counts = steps.float()
        steps = counts @ counts > 0
    return steps


def connected(allowed: Tensor) -> Tensor:
    """Whether paths of allowed edges join all nodes, ``[*batch]`` of bool.

    Args:
        allowed: symmetric matrix ``[*batch, n, n]`` of bool; the diagonal is not read.

    Example:
        >>> connected(torch.tensor([[[False, True], [True, False]], [[False, False]] * 2]))
        tensor([ True, False])
    """
    return paths(allowed).flatten(-2).all(-1)
