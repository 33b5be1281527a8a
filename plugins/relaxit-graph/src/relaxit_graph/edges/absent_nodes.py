"""Graphs of different sizes in one batch: absent nodes hang on the last real one, one by one."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from relaxit.shapes import batch_shape_of
from relaxit_graph.edges.on_nodes import OnNodes
from relaxit_graph.programs.padding import as_lengths

__all__ = ["WithAbsentNodes"]


class WithAbsentNodes(OnNodes):
    """Structures on n nodes, of which a row of the batch may have fewer.

    Attributes:
        symmetric: whether params are those of edges without direction.
    """

    name: ClassVar[str]
    symmetric: ClassVar[bool] = False

    def pad(self, params: Tensor, sizes: Tensor) -> Tensor:
        """Return params of graphs of different sizes, ``[*batch, n, n]``.

        An absent node is joined to the node before it, at score 0, and to no other one, so masses,
        entropies and divergences are those of the real nodes. In a directed tree the node before it
        is its head.

        Args:
            params: params ``[*batch, n, n]``.
            sizes: number of nodes of each row, integers ``[*batch]`` from 1 to n.

        Raises:
            DomainError: if a size is out of range.
            ShapeError: if params are not ``[*batch, n, n]``, or sizes do not fit the batch.

        Example:
            >>> import torch, relaxit
            >>> trees = relaxit.get("spanning-tree", nodes=4)
            >>> padded = trees.pad(torch.zeros(2, 4, 4), torch.tensor([4, 3]))
            >>> trees.discrete(padded).entropy().exp().round()
            tensor([16.,  3.])
        """
        batch, n = batch_shape_of(self.name, "params", params, self.param_shape), self.options.nodes
        given = as_lengths(self.name, sizes, batch, n, "sizes").to(params.device)
        node = torch.arange(n, device=params.device)
        absent = node >= given.unsqueeze(-1)
        way = absent.unsqueeze(-2) & (node.unsqueeze(-1) == node - 1)
        if self.symmetric:
            way = way | way.mT
        real = ~(absent.unsqueeze(-1) | absent.unsqueeze(-2))
        return torch.where(real, params, torch.zeros_like(params).masked_fill(~way, -torch.inf))
