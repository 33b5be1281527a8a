"""Directed trees as matrices of zeros and ones."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint

from relaxit import Unsupported

__all__ = ["arborescence", "arborescences", "arcs_of"]

MOST_NODES = 6
"""Trees of more nodes are not listed."""


class arborescence(Constraint):
    """Matrices of exact zeros and ones that are directed trees.

    Each column has a single one: that of a root on the diagonal, that of another node in the row of
    its head. Heads lead to a root.

    Args:
        single_root: whether there is one root, or any positive number.

    Example:
        >>> chain = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
        >>> cycle = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        >>> arborescence(single_root=True).check(torch.stack([chain, cycle]))
        tensor([ True, False])
    """

    event_dim = 2
    is_discrete = True

    def __init__(self, single_root: bool) -> None:
        self.single_root = single_root
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        exact = ((value == 0) | (value == 1)).flatten(-2).all(-1)
        one_head = (value.sum(-2) == 1).all(-1)
        is_root = value.diagonal(dim1=-2, dim2=-1) == 1
        head = (value == 1).to(torch.uint8).argmax(-2)
        for _ in range(int(value.shape[-1]).bit_length()):  # 2^k steps; a root is its own head
            head = head.gather(-1, head)
        rooted = is_root.gather(-1, head).all(-1)
        few = is_root.sum(-1) == 1 if self.single_root else is_root.any(-1)
        return exact & one_head & rooted & few


def arcs_of(heads: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the tree ``[*, n, n]`` with these heads ``[*, n]``; n stands for the implicit root.

    Example:
        >>> arcs_of(torch.tensor([2, 0]), torch.float32)
        tensor([[1., 1.],
                [0., 0.]])
    """
    n = int(heads.shape[-1])
    node = torch.arange(n, device=heads.device)
    row = torch.where(heads == n, node, heads)
    return (node.unsqueeze(-1) == row.unsqueeze(-2)).to(dtype)


def arborescences(nodes: int, single_root: bool) -> Tensor:
    """Return all directed trees of a small number of nodes, ``[N, n, n]`` in float64 on the CPU.

    Raises:
        Unsupported: if there are more than :data:`MOST_NODES` nodes.

    Example:
        >>> len(arborescences(3, single_root=True)), len(arborescences(3, single_root=False))
        (9, 16)
    """
    if nodes > MOST_NODES:
        raise Unsupported(
            f"arborescence: trees of {nodes} nodes are too many to list (at most {MOST_NODES})"
        )
    heads = torch.tensor(list(itertools.product(range(nodes), repeat=nodes)), device="cpu")
    node = torch.arange(nodes, device="cpu")
    graphs = arcs_of(torch.where(heads == node, nodes, heads), torch.float64)
    return graphs[arborescence(single_root).check(graphs)]
