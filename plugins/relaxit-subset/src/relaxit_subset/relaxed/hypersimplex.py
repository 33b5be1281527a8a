"""Supports of soft and hard k-subsets: the hypersimplex and its vertices.

The hypersimplex is the set of vectors in the unit cube whose entries sum to k; its vertices are the
vectors of k ones and n - k zeros.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint

from relaxit import Unsupported, constraints
from relaxit.dtypes import compute_dtype

__all__ = ["MOST_LISTED", "hypersimplex", "k_hot", "subsets"]

MOST_LISTED = 200_000
"""More subsets than this are not listed."""


class hypersimplex(Constraint):
    """Vectors (last dimension) with entries in [0, 1] that sum to ``k``, up to rounding.

    Example:
        >>> hypersimplex(2).check(torch.tensor([[0.5, 0.5, 1.0], [1.5, 0.5, 0.0]]))
        tensor([ True, False])
    """

    event_dim = 1

    def __init__(self, k: int) -> None:
        self.k = k
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        wide = compute_dtype(value.dtype)
        slack = constraints.tolerance(value, value.shape[-1])
        inside = ((value >= 0) & (value <= 1)).all(-1)
        return inside & ((value.to(wide).sum(-1) - self.k).abs() <= slack * max(1, self.k))


class k_hot(Constraint):
    """Vectors (last dimension) of exact zeros and exactly ``k`` ones.

    Example:
        >>> k_hot(2).check(torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
        tensor([ True, False])
    """

    event_dim = 1
    is_discrete = True

    def __init__(self, k: int) -> None:
        self.k = k
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        # The count is exact in every dtype; a sum in float16 or bfloat16 would not be.
        ones = (value == 1).sum(-1)
        return ((value == 0) | (value == 1)).all(-1) & (ones == self.k)


def subsets(n: int, k: int, count: int) -> Tensor:  # [count, n]
    """Return all k-subsets of n items as rows of zeros and ones, in lexicographic order.

    Args:
        count: number of subsets, the binomial coefficient.

    Raises:
        Unsupported: if there are more than 200 000 subsets.

    Example:
        >>> subsets(3, 2, 3)
        tensor([[1., 1., 0.],
                [1., 0., 1.],
                [0., 1., 1.]])
    """
    if count > MOST_LISTED:
        raise Unsupported(f"{count} subsets of {k} out of {n} items are too many to list")
    listed = list(itertools.combinations(range(n), k))
    chosen = torch.tensor(listed, dtype=torch.int64, device="cpu").view(count, k)
    return torch.zeros(count, n, dtype=torch.float32, device="cpu").scatter(-1, chosen, 1.0)
