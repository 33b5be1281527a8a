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

from relaxit_graph.trees.arithmetic import FLOOR, Arithmetic, Batches, Entries, Logarithms

__all__ = ["SINGLE_ROOT", "Graded", "SingleRoot"]


class _WithoutRoot(Entries):
    """The sum of a row leaves out its last entry, the root."""

    leaf = False

    def total(self, row: Tensor) -> Tensor:
        nodes = row.narrow(self.column, 0, row.shape[self.column] - 1)
        return nodes.sum(self.column, keepdim=True)


class SingleRoot(_WithoutRoot, Batches):
    """Plain numbers, if every node can be the child of the root."""

    small = _WithoutRoot


class Graded(Logarithms):
    """Numbers m epsilon^k, stored as log m, -k and perhaps a derivative of log m.

    They are in one tensor, of one more dimension in front.
    """

    carries_change = True

    def store(self, x: Tensor) -> Tensor:
        """Store logarithms ``[B, rows, columns]``, the root last, or these and their derivative."""
        log, *change = (x,) if x.dim() == 3 else x
        grade = torch.where(log.detach() < FLOOR / 2, FLOOR, -_last(log).to(log.dtype))
        return super().store(torch.stack([log, grade, *change]))

    def read(self, x: Tensor) -> Tensor:
        """Return what, multiplied by a weight, is neither 0 nor infinite in the limit."""
        log, grade, *change = super().read(x)
        kept = grade == _last(log).to(grade.dtype)
        log = torch.where(kept, log, FLOOR)
        return torch.stack([log, *(torch.where(kept, y, 0.0) for y in change)]) if change else log

    def value(self, x: Tensor) -> Tensor:
        return x[0]

    def constant(self, like: Tensor, value: float) -> Tensor:
        log, grade, *change = like
        filled = [torch.full_like(y, value) for y in (log, grade)]
        return torch.stack([*filled, *(torch.zeros_like(y) for y in change)])

    def add_product(self, c: Tensor, a: Tensor, b: Tensor) -> Tensor:
        terms = a.unsqueeze(3) + b.unsqueeze(1)  # [., rows, terms, columns, B]
        return _sum(torch.cat([c.unsqueeze(2), terms], 2), -3).squeeze(-3)

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        return _sum(a.unsqueeze(2) + b.unsqueeze(1), -2).squeeze(-2)

    def shares(self, row: Tensor) -> tuple[Tensor, Tensor]:
        total = _sum(row, self.column)
        return row - total, total[0]


SINGLE_ROOT = Arithmetic(SingleRoot, Graded)


def _last(x: Tensor) -> Tensor:
    """Return which entry of the last dimension is the last."""
    size = int(x.shape[-1])  # a tensor while torch.jit.trace runs
    return torch.arange(size, device=x.device) == size - 1


def _sum(x: Tensor, dim: int) -> Tensor:
    """Sum over a dimension, counted from the last and kept: the highest grade counts."""
    log, grade, *change = x
    top = grade.detach().amax(dim, keepdim=True)
    log = torch.where(grade == top, log, FLOOR)
    total = log.logsumexp(dim, keepdim=True)
    share = (log - total).exp()
    return torch.stack([total, top, *((share * y).sum(dim, keepdim=True) for y in change)])
