"""The readable form of the exact law: the recursion for elementary symmetric polynomials.

It is the oracle of the tests and the reference of the benchmarks; the law itself uses
:mod:`relaxit_subset.conditional_poisson.contour`, which is faster and needs less memory.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["log_partition"]


def log_partition(logits: Tensor, k: int) -> Tensor:  # [..., n] -> [...]
    """Logarithm of the sum, over all k-subsets, of the exponential of the sum of their logits.

    ``L_j`` is that logarithm for the j-subsets of the items so far; an item adds
    ``L_j <- logaddexp(L_j, L_{j-1} + logit)``. The list grows with the items, so that no impossible
    state has to be stood for by a large negative number: ``logaddexp`` of two of those has no
    second derivative, and of two infinite ones no first.

    The first derivative is the marginals, the second their covariance.

    Example:
        >>> log_partition(torch.zeros(4), 2).exp()  # six pairs
        tensor(6.)
    """
    logs = torch.zeros_like(logits[..., :1])
    for logit in logits.split(1, -1):
        stay, take = logs[..., 1:], logs[..., :-1] + logit
        grown = [logs[..., :1], torch.logaddexp(stay, take), logs[..., -1:] + logit]
        logs = torch.cat(grown, -1)[..., : k + 1]
    return logs[..., k]
