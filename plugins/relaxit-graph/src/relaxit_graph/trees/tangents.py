"""Arithmetic of numbers that carry a derivative along one direction: forward-mode differentiation.

A number and its derivative are stored in one tensor, of one more dimension in front. PyTorch's own
forward mode cannot be used inside of itself, and takes twice the time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit_graph.trees.arithmetic import Entries, Logarithms, Numbers

__all__ = ["LogarithmTangents", "Tangents", "with_change"]


class Tangents(Numbers):
    """Numbers of another form, each with a derivative.

    Args:
        numbers: the form of the numbers and of the derivatives.
    """

    carries_change = True

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers
        self.zero, self.one = numbers.zero, numbers.one
        self.row, self.column, self.batch = numbers.row, numbers.column, numbers.batch

    def add_product(self, c: Tensor, a: Tensor, b: Tensor) -> Tensor:
        add = self.numbers.add_product
        change = add(add(c[1], a[1], b[0]), a[0], b[1])
        return torch.stack([add(c[0], a[0], b[0]), change])

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        times = self.numbers.product
        change = times(a[1], b[0]) + times(a[0], b[1])
        return torch.stack([times(a[0], b[0]), change])

    def shares(self, row: Tensor) -> tuple[Tensor, Tensor]:
        shares, total = self.numbers.shares(row[0])
        assert isinstance(self.numbers, Entries)
        change = row[1] - shares * self.numbers.total(row[1])
        return torch.stack([shares, change / total]), total

    def inverse(self, x: Tensor) -> Tensor:
        y = self.numbers.inverse(x[0])
        return torch.stack([y, -y * (x[1] * y)])

    def log(self, x: Tensor) -> Tensor:
        return self.numbers.log(x)

    def value(self, x: Tensor) -> Tensor:
        return x[0]

    def constant(self, like: Tensor, value: float) -> Tensor:
        return torch.stack([torch.full_like(like[0], value), torch.zeros_like(like[0])])

    def suitable(self, size: int) -> Numbers:
        numbers = self.numbers.suitable(size)
        return self if numbers is self.numbers else Tangents(numbers)


class LogarithmTangents(Tangents):
    """Logarithms, each with its derivative: sums of derivatives are weighted by shares."""

    numbers: Logarithms

    def __init__(self) -> None:
        super().__init__(Logarithms())

    def add_product(self, c: Tensor, a: Tensor, b: Tensor) -> Tensor:
        terms = self.numbers.terms
        return _weighted(terms(c[0], a[0], b[0]), terms(c[1], a[1], b[1]), 1)

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        terms, changes = a.unsqueeze(2) + b.unsqueeze(1)
        return _weighted(terms, changes, 2)

    def shares(self, row: Tensor) -> tuple[Tensor, Tensor]:
        total = _weighted(row[0], row[1], self.column).unsqueeze(self.column)
        return row - total, total[0]

    def inverse(self, x: Tensor) -> Tensor:
        return -x


def _weighted(terms: Tensor, changes: Tensor, dim: int) -> Tensor:
    """Return the logarithm of a sum of exponentials, and its derivative."""
    total = terms.logsumexp(dim, keepdim=True)
    change = ((terms - total).exp() * changes).sum(dim)
    return torch.stack([total.squeeze(dim), change])


def with_change(numbers: Numbers) -> Numbers:
    """Return the form in which these numbers are stored with a derivative.

    Example:
        >>> type(with_change(Logarithms())).__name__
        'LogarithmTangents'
    """
    if numbers.carries_change:
        return numbers
    return LogarithmTangents() if isinstance(numbers, Logarithms) else Tangents(numbers)
