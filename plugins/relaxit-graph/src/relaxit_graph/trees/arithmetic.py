"""Sums and products of positive numbers for the elimination of nodes, in three forms.

A :class:`Numbers` says how batches of matrices are stored and how they are multiplied. All three
forms only add, multiply and divide positive numbers, so each entry of a result is accurate to a few
roundings, however different the entries are in size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "ALL_TREES",
    "FLOOR",
    "Arithmetic",
    "Batches",
    "Entries",
    "Logarithms",
    "Numbers",
    "all_trees",
]

FLOOR = -1e30
"""Logarithm that stands for zero. Unlike that of ``-inf``, its derivatives are finite."""
_SMALL = 32
"""Matrices up to this size are multiplied entry by entry: ``bmm`` is slow for many small ones."""


class Numbers(ABC):
    """How matrices are stored and multiplied.

    Attributes:
        zero, one: what stands for the numbers 0 and 1.
        row, column, batch: dimensions of a batch of matrices, counted from the last.
        carries_change: whether numbers can be stored with a derivative.
        leaf: whether a node whose single edge leads to the root changes nothing.
    """

    zero: float = 0.0
    one: float = 1.0
    row: int = -3
    column: int = -2
    batch: int = -1
    carries_change: bool = False
    leaf: bool = True

    @abstractmethod
    def add_product(self, c: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Return ``c + a b``."""

    @abstractmethod
    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """Return ``a`` times the transpose of ``b``."""

    @abstractmethod
    def shares(self, row: Tensor) -> tuple[Tensor, Tensor]:
        """Divide a row by its sum; return the shares and the sum."""

    @abstractmethod
    def inverse(self, x: Tensor) -> Tensor:
        """Return ``1 / x``."""

    def log(self, x: Tensor) -> Tensor:
        """Return the logarithm of a sum that :meth:`shares` or :meth:`value` returned."""
        return x.log()

    def value(self, x: Tensor) -> Tensor:
        """Return the numbers without what else is stored with them."""
        return x

    def constant(self, like: Tensor, value: float) -> Tensor:
        """Return a tensor of the same shape, filled with :attr:`zero` or :attr:`one`."""
        return torch.full_like(like, value)

    def suitable(self, size: int) -> Numbers:
        """Return the form in which matrices of this size are multiplied."""
        del size
        return self

    def blocks(self, rows: Sequence[Sequence[Tensor]], dim: int) -> Tensor:
        """Join the matrices of each row by columns, and the results along a dimension."""
        return torch.cat([torch.cat(list(row), self.column) for row in rows], dim)

    def store(self, x: Tensor) -> Tensor:
        """Store matrices ``[..., B, rows, columns]`` in this form."""
        return x.movedim(-3, self.batch).contiguous()

    def read(self, x: Tensor) -> Tensor:
        """Return stored matrices as ``[..., B, rows, columns]``."""
        return x.movedim(self.batch, -3)


class Entries(Numbers):
    """Plain numbers, the batch last: products are sums over entries, each of a whole batch."""

    def add_product(self, c: Tensor, a: Tensor, b: Tensor) -> Tensor:
        for column, row in zip(a.split(1, self.column), b.split(1, self.row), strict=True):
            c = torch.addcmul(c, column, row)
        return c

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        (first, rest), (top, below) = (
            a.split([1, a.shape[1] - 1], 1),
            b.split([1, b.shape[1] - 1], 1),
        )
        return self.add_product(first * top.transpose(0, 1), rest, below.transpose(0, 1))

    def total(self, row: Tensor) -> Tensor:
        """Return the sum by which :meth:`shares` divides."""
        return row.sum(self.column, keepdim=True)

    def shares(self, row: Tensor) -> tuple[Tensor, Tensor]:
        total = self.total(row)
        return row / total, total

    def inverse(self, x: Tensor) -> Tensor:
        return 1 / x


class Batches(Entries):
    """Plain numbers, the batch first: products of large matrices by ``bmm``."""

    row, column, batch = -2, -1, -3
    small: type[Entries] = Entries

    def add_product(self, c: Tensor, a: Tensor, b: Tensor) -> Tensor:
        # For a product with few terms, bmm takes several times longer.
        return torch.baddbmm(c, a, b) if a.shape[-1] > 2 else super().add_product(c, a, b)

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.bmm(a, b.mT)

    def suitable(self, size: int) -> Numbers:
        return self.small() if size <= _SMALL else self

    def blocks(self, rows: Sequence[Sequence[Tensor]], dim: int) -> Tensor:
        shape = list(rows[0][0].shape)
        shape[self.column] = sum(block.shape[self.column] for block in rows[0])
        shape[dim] = sum(row[0].shape[dim] for row in rows)
        joined = rows[0][0].new_empty(shape)  # one copy, where two calls of cat would take two
        sizes = [row[0].shape[dim] for row in rows]
        for part, row in zip(joined.split(sizes, dim), rows, strict=True):
            widths = [block.shape[self.column] for block in row]
            for place, block in zip(part.split(widths, self.column), row, strict=True):
                place.copy_(block)
        return joined


class Logarithms(Numbers):
    """Logarithms, the batch last: slower, but their range is unlimited."""

    zero, one = FLOOR, 0.0

    def add_product(self, c: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return self.terms(c, a, b).logsumexp(1)

    def terms(self, c: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Return what :meth:`add_product` sums over dimension 1."""
        return torch.cat([c.unsqueeze(1), a.unsqueeze(2) + b.unsqueeze(0)], 1)

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        return (a.unsqueeze(1) + b.unsqueeze(0)).logsumexp(2)

    def shares(self, row: Tensor) -> tuple[Tensor, Tensor]:
        total = row.logsumexp(self.column, keepdim=True)
        return row - total, total

    def inverse(self, x: Tensor) -> Tensor:
        return -x

    def log(self, x: Tensor) -> Tensor:
        return x


class Arithmetic(NamedTuple):
    """The numbers of an elimination, which also decide which trees are summed over.

    Attributes:
        plain: fast, with the range of floating-point numbers.
        wide: of unlimited range.
        inverse: relative error of marginals up to which :mod:`relaxit_graph.trees.inverse` takes
            the place of an elimination; 0 if it sums over other trees.
    """

    plain: type[Batches]
    wide: type[Logarithms]
    inverse: float = 0.0


ALL_TREES = Arithmetic(Batches, Logarithms, inverse=1e-12)
_ROUNDED = ALL_TREES._replace(inverse=1e-9)


def all_trees(params: torch.dtype) -> Arithmetic:
    """Return the numbers for sums over all trees, accurate to far more digits than params have.

    Args:
        params: dtype of the params.

    Example:
        >>> all_trees(torch.float32).inverse
        1e-09
    """
    return ALL_TREES if params == torch.float64 else _ROUNDED
