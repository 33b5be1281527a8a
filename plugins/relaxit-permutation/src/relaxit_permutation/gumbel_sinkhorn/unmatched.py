r"""Matchings in which rows and columns may stay unmatched, at a score of 0.

To stay unmatched, each row has columns of its own with scores of 0, one for each row, so that a
matching of m rows to n columns becomes one of m rows to n + m columns, of which the first n are
returned. It is a partial matching: rows and columns have at most one partner, and the best one
leaves a pair out if its score is below 0. Rows may outnumber columns.

**Noise.** The score of staying unmatched has Gumbel noise as well, one variable for each row. Only
differences within a row matter, so it is subtracted from the row: s_ij = theta_ij + G_ij - D_i. For
one row this is a categorical variable with one category more. For more, params of 0 are not the
uniform distribution of partial matchings: no Gumbel noise makes matchings of different size equally
probable.

**The KL divergence** is bounded in two steps, with q_0 for the distribution at params of 0 and N
for the number of partial matchings:

    KL(q, uniform) = KL(q, q_0) + E_q log(N q_0) <= divergence of the noise + max log(N q_0).

A matching of k pairs is the best one only if each of its rows prefers its column to being unmatched
and to the n - k columns that are free, and each other row prefers being unmatched to these. So

    q_0 <= (n - k + 2)^-k (n - k + 1)^-(m - k).

Reference: Sarlin, DeTone, Malisiewicz, Rabinovich, "SuperGlue", arXiv:1911.11763, section 3.2 (the
score for staying unmatched, there called dustbin).
"""

from __future__ import annotations

import itertools
import math
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import pad

from relaxit.dtypes import compute_dtype

__all__ = ["excess", "log_count", "partial_matchings", "scores_of", "with_own_columns"]


def with_own_columns(scores: Tensor) -> Tensor:  # [..., m, n] -> [..., m, n + m]
    """Append columns of scores 0, in which rows stay unmatched."""
    return pad(scores, (0, scores.shape[-2]))


def scores_of(soft: Tensor) -> Tensor:  # [..., m, n] -> same
    """Return the scores, divided by the temperature, that a soft sample was computed from.

    They follow from the shares of the pairs and from those that rows and columns keep: the soft
    sample is ``exp(s_ij + u_i + v_j)``, and the same holds for the columns that are left out here.
    """
    dtype = compute_dtype(soft.dtype)
    eps, tiny = torch.finfo(dtype).eps, torch.finfo(dtype).tiny
    p, m = soft.detach().to(dtype), soft.shape[-2]
    row = (1 - p.sum(-1, keepdim=True)).clamp_min(eps) / m  # in each of its own columns
    column = (1 - p.sum(-2, keepdim=True)).clamp_min(eps)
    matched = p.sum((-2, -1), keepdim=True).clamp_min(tiny) / m
    return p.clamp_min(tiny).log() + matched.log() - row.log() - column.log()


def _log_sizes(m: int, n: int) -> list[float]:
    """Return the logarithm of the number of partial matchings of 0, 1, ... pairs."""
    whole = math.lgamma(m + 1) + math.lgamma(n + 1)
    return [
        whole - math.lgamma(k + 1) - math.lgamma(m - k + 1) - math.lgamma(n - k + 1)
        for k in range(min(m, n) + 1)
    ]


@cache
def log_count(m: int, n: int) -> float:
    """Return the logarithm of the number of partial matchings.

    Example:
        >>> round(math.exp(log_count(2, 2)))  # none, four of one pair, two of two
        7
    """
    sizes = _log_sizes(m, n)
    most = max(sizes)
    return most + math.log(sum(math.exp(size - most) for size in sizes))


@cache
def excess(m: int, n: int) -> float:
    """Return a bound on the largest log-ratio of the distribution at params of 0 to uniform.

    Example:
        >>> round(excess(1, 5), 6)  # it is uniform
        0.0
    """
    most = max(
        -k * math.log(n - k + 2) - (m - k) * math.log(n - k + 1) for k in range(min(m, n) + 1)
    )
    return log_count(m, n) + most


def partial_matchings(rows: int, columns: int) -> Tensor:  # [N, rows, columns]
    """Return all partial matchings of a small instance, as zeros and ones in float64.

    Example:
        >>> partial_matchings(2, 2).sum((-2, -1))
        tensor([0., 1., 1., 1., 1., 2., 2.], dtype=torch.float64)
    """
    found = []
    for k in range(min(rows, columns) + 1):
        for chosen in itertools.combinations(range(rows), k):
            for partners in itertools.permutations(range(columns), k):
                matrix = torch.zeros(rows, columns, dtype=torch.float64, device="cpu")
                matrix[list(chosen), list(partners)] = 1.0
                found.append(matrix)
    return torch.stack(found)
