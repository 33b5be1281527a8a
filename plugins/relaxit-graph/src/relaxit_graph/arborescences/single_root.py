r"""Arithmetic in which the elimination of nodes sums over trees with a single child of the root.

Multiply the weights of all arcs from the root by a small number. Then trees count the more the
fewer children the root has, and in the limit a single one is left. Here the limit is taken in each
sum and product of the elimination, so that nothing small is ever stored: a number is
m epsilon^k, with epsilon arbitrarily small, and of a sum only the terms with the smallest k count.

* If every node can be the child of the root, k depends on the place of a number only: it is 1 for
  what leads to the root and 0 for all else. So the arithmetic is that of plain numbers, except that
  the sum of a row leaves out the root.
* Where excluded arcs or underflow decide who can be the child of the root, :class:`Graded` stores
  the logarithm of m, and -k.

The results are those of the modified Laplacian of Koo et al., without its subtractions and
with small relative errors.

References: Koo, Globerson, Carreras, Collins, "Structured Prediction Models via the Matrix-Tree
Theorem", EMNLP 2007 (trees with a single root); Smith, Smith, EMNLP 2007.
"""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit_graph.trees.arithmetic import FLOOR, Arithmetic, Batches, Entries, Logarithms, Numbers

__all__ = ["SINGLE_ROOT", "Graded", "SingleRoot"]


class _WithoutRoot(Numbers):
    """The sum of a row leaves out its last entry, the root."""

    def shares(self, row: Tensor) -> tuple[Tensor, Tensor]:
        nodes = row.narrow(self.column, 0, row.shape[self.column] - 1)
        total = nodes.sum(self.column, keepdim=True)
        return row / total, total


class _SingleRootEntries(_WithoutRoot, Entries):
    """Plain numbers for small matrices."""


class SingleRoot(_WithoutRoot, Batches):
    """Plain numbers, if every node can be the child of the root."""

    small = _SingleRootEntries


class Graded(Logarithms):
    """Numbers m epsilon^k, stored as log m and -k in a last dimension of size 2."""

    def store(self, x: Tensor) -> Tensor:
        root = torch.arange(x.shape[-1], device=x.device) == x.shape[-1] - 1
        grade = torch.where(x.detach() < FLOOR / 2, FLOOR, -root.to(x.dtype))
        return torch.stack([x, grade], -1).movedim(0, 2)

    def read(self, x: Tensor) -> Tensor:
        """Return logarithms of what, times a weight, is neither 0 nor infinite in the limit."""
        log, grade = x.movedim(2, 0).unbind(-1)
        root = torch.arange(x.shape[1], device=x.device) == x.shape[1] - 1
        return torch.where(grade == root.to(grade.dtype), log, FLOOR)

    def add_product(self, c: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return _sum(torch.cat([c.unsqueeze(1), a.unsqueeze(2) + b.unsqueeze(0)], 1), 1)

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        return _sum(a.unsqueeze(1) + b.unsqueeze(0), 2)

    def shares(self, row: Tensor) -> tuple[Tensor, Tensor]:
        total = _sum(row, 1).unsqueeze(1)
        return row - total, total

    def log(self, x: Tensor) -> Tensor:
        return x[..., 0]


SINGLE_ROOT = Arithmetic(SingleRoot, Graded)


def _sum(x: Tensor, dim: int) -> Tensor:
    """Sum over a dimension: the terms of the highest grade count."""
    log, grade = x.unbind(-1)
    top = grade.detach().amax(dim, keepdim=True)
    total = torch.where(grade == top, log, FLOOR).logsumexp(dim)
    return torch.stack([total, top.squeeze(dim)], -1)
