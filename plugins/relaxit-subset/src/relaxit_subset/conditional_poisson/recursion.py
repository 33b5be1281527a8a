"""Reference implementation of the partition function: elementary symmetric polynomials.

The recursion is the oracle of the tests and the reference of the benchmarks. The distribution
itself uses :mod:`relaxit_subset.conditional_poisson.contour`, which is faster and needs less
memory.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["log_partition"]


def log_partition(logits: Tensor, k: int) -> Tensor:  # [..., n] -> [...]
    """Return the logarithm of the sum of ``exp(sum of the logits in S)`` over all k-subsets S.

    ``L_j`` is this logarithm for the j-subsets of the items so far; each item updates
    ``L_j <- logaddexp(L_j, L_{j-1} + logit)``. The list grows with the items, so that impossible
    states need no placeholder: ``logaddexp`` of two large negative numbers has no second
    derivative, and ``logaddexp`` of two infinite ones has no first derivative.

    The first derivative gives the marginals, the second their covariance.

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
