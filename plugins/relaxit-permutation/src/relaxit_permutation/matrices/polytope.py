"""Supports of permutations, matchings and their soft samples."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor
from torch.distributions import constraints

from relaxit.constraints import tolerance
from relaxit.dtypes import compute_dtype

__all__ = [
    "DOUBLY_STOCHASTIC",
    "bipartite",
    "matching",
    "matchings",
    "partial",
    "partial_matching",
    "row_stochastic",
]

DOUBLY_STOCHASTIC = 1e-4
"""Largest accepted deviation of a row or column sum of a soft sample from 1."""


def _sums_off(value: Tensor) -> tuple[Tensor, Tensor, float]:
    """Return row and column sums minus 1, and the tolerance for rounding errors."""
    wide = value.to(compute_dtype(value.dtype))
    slack = tolerance(value, value.shape[-1])
    return wide.sum(-1) - 1, wide.sum(-2) - 1, slack


class _Bipartite(constraints.Constraint):
    """Non-negative matrices whose rows sum to 1, and columns to 1 or, if m < n, at most 1."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        rows, columns, slack = _sums_off(value)
        slack += DOUBLY_STOCHASTIC
        if value.shape[-2] == value.shape[-1]:
            columns = columns.abs()
        off = torch.maximum(rows.abs().amax(-1), columns.amax(-1))
        return (value >= 0).flatten(-2).all(-1) & (off <= slack)


class _Partial(constraints.Constraint):
    """Non-negative matrices whose rows and columns sum to at most 1."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        rows, columns, slack = _sums_off(value)
        off = torch.maximum(rows.amax(-1), columns.amax(-1))
        return (value >= 0).flatten(-2).all(-1) & (off <= slack + DOUBLY_STOCHASTIC)


class _RowStochastic(constraints.Constraint):
    """Non-negative matrices whose rows sum to 1."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        rows, _, slack = _sums_off(value)
        return (value >= 0).flatten(-2).all(-1) & (rows.abs() <= slack).all(-1)


class _Matching(constraints.Constraint):
    """Matrices of exact zeros and ones: a one in each row, at most one in each column."""

    event_dim = 2
    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        exact = ((value == 0) | (value == 1)).flatten(-2).all(-1)
        return exact & (value.sum(-1) == 1).all(-1) & (value.sum(-2) <= 1).all(-1)


class _PartialMatching(constraints.Constraint):
    """Matrices of exact zeros and ones: at most one in each row and in each column."""

    event_dim = 2
    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        exact = ((value == 0) | (value == 1)).flatten(-2).all(-1)
        return exact & (value.sum(-1) <= 1).all(-1) & (value.sum(-2) <= 1).all(-1)


bipartite = _Bipartite()
partial = _Partial()
row_stochastic = _RowStochastic()
matching = _Matching()
partial_matching = _PartialMatching()


def matchings(rows: int, columns: int) -> Tensor:  # [N, rows, columns]
    """Return all matchings of a small instance, as zeros and ones in float64.

    Example:
        >>> matchings(2, 3).shape
        torch.Size([6, 2, 3])
    """
    orders = list(itertools.permutations(range(columns), rows))
    assert len(orders) == math.perm(columns, rows)
    return torch.nn.functional.one_hot(torch.tensor(orders, device="cpu"), columns).double()
