"""Graphs of different sizes in one batch: absent nodes hang on the last real one, one by one."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from relaxit_graph.programs.padding import as_lengths

__all__ = ["WithAbsentNodes", "pad_arcs", "pad_edges"]


class WithAbsentNodes:
    """Structures on n nodes, of which a row of the batch may have fewer.

    Attributes:
        symmetric: whether params are those of edges without direction.
    """

    name: ClassVar[str]
    symmetric: ClassVar[bool] = False

    def pad(self, params: Tensor, sizes: Tensor) -> Tensor:
        """Return params of graphs of different sizes, ``[*batch, n, n]``.

        An absent node is joined to the node before it, at score 0, and to no other one, so masses,
        entropies and divergences are those of the real nodes.

        Args:
            params: params ``[*batch, n, n]``.
            sizes: number of nodes of each row, integers ``[*batch]`` from 1 to n.

        Raises:
            DomainError: if a size is out of range.
            ShapeError: if sizes do not fit the batch.

        Example:
            >>> import torch, relaxit
            >>> trees = relaxit.get("spanning-tree", nodes=4)
            >>> padded = trees.pad(torch.zeros(2, 4, 4), torch.tensor([4, 3]))
            >>> trees.discrete(padded).entropy().exp().round()
            tensor([16.,  3.])
        """
        pad = pad_edges if self.symmetric else pad_arcs
        return pad(self.name, params, sizes)


def pad_arcs(owner: str, params: Tensor, sizes: Tensor) -> Tensor:
    """Return scores ``[*batch, n, n]`` of arcs without choice for absent nodes.

    The only head of an absent node is the node before it, at score 0. It is no root, and the head
    of no real node.

    Args:
        owner: name used in error messages.
        params: scores of arcs from head (row) to child, and of roots on the diagonal.
        sizes: number of nodes of each graph, integers ``[*batch]`` from 1 to n.

    Raises:
        DomainError: if a size is out of range.
        ShapeError: if sizes do not fit the batch.

    Example:
        >>> pad_arcs("trees", torch.ones(3, 3), torch.tensor(2))
        tensor([[1., 1., -inf],
                [1., 1., 0.],
                [-inf, -inf, -inf]])
    """
    n = params.shape[-1]
    given = as_lengths(owner, sizes, params.shape[:-2], n, "sizes").to(params.device)
    node = torch.arange(n, device=params.device)
    absent = node >= given.unsqueeze(-1)
    way = absent.unsqueeze(-2) & (node.unsqueeze(-1) == node - 1)
    real = ~(absent.unsqueeze(-1) | absent.unsqueeze(-2))
    return torch.where(real, params, torch.zeros_like(params).masked_fill(~way, -torch.inf))


def pad_edges(owner: str, params: Tensor, sizes: Tensor) -> Tensor:
    """Return symmetric scores ``[*batch, n, n]`` of edges without choice for absent nodes.

    An absent node has one edge to the node before it, at score 0; see :func:`pad_arcs`.

    Example:
        >>> pad_edges("trees", torch.ones(3, 3), torch.tensor(2))
        tensor([[1., 1., -inf],
                [1., 1., 0.],
                [-inf, 0., -inf]])
    """
    return torch.maximum(pad_arcs(owner, params, sizes), pad_arcs(owner, params.mT, sizes).mT)
