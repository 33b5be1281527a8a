"""Published algorithms for permutations, written as published: baselines of the benchmarks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["log_sinkhorn", "log_sinkhorn_until", "published_matching"]

_LOOK = 10
"""Iterations between two checks of the sums, for which the matrix itself is needed."""


def log_sinkhorn(scores: Tensor, iterations: int) -> Tensor:  # [..., n, n] -> [..., n, n]
    """Run Sinkhorn's iterations on the logarithms: rows are normalised, then columns.

    Each iteration writes two full matrices, all of which autograd keeps. Afterwards columns sum to
    1, and rows do approximately, depending on the number of iterations. Scores must already be
    divided by the temperature.

    Reference: Mena et al., arXiv:1802.08665, appendix A; the order of rows and columns, and 20
    iterations, as in the repository perrying/gumbel-sinkhorn.

    Example:
        >>> log_sinkhorn(torch.tensor([[4.0, 0.0], [0.0, 0.0]]), 20)
        tensor([[0.8808, 0.1192],
                [0.1192, 0.8808]])
    """
    for _ in range(iterations):
        scores = _iteration(scores)
    return scores.exp()


def log_sinkhorn_until(
    scores: Tensor, tolerance: float, iterations: int
) -> Tensor:  # [..., n, n] -> [..., n, n]
    """Run :func:`log_sinkhorn` until all rows sum to 1, checked every ten iterations.

    Args:
        scores: scores ``[..., n, n]``, already divided by the temperature.
        tolerance: largest error of a row sum at which to stop.
        iterations: largest number of iterations.

    Example:
        >>> soft = log_sinkhorn_until(torch.tensor([[4.0, 0.0], [0.0, 0.0]]), 1e-4, 1000)
        >>> bool((soft.sum(-1) - 1).abs().max() <= 1e-4)
        True
    """
    soft, done = scores, 0
    with torch.no_grad():
        while done < iterations:
            count = min(_LOOK, iterations - done)
            for _ in range(count):
                scores = _iteration(scores)
            done += count
            soft = scores.exp()
            if float((soft.sum(-1) - 1).abs().max()) <= tolerance:
                break
    return soft


def _iteration(scores: Tensor) -> Tensor:
    by_row = scores - scores.logsumexp(-1, keepdim=True)
    return by_row - by_row.logsumexp(-2, keepdim=True)


def published_matching(scores: Tensor) -> Tensor:  # [batch, n, n] -> [batch, n, n]
    """Compute the best matchings one by one, each through a sparse scipy matrix that is made dense.

    Reference: the helper for hard matchings in the repository perrying/gumbel-sinkhorn.

    Example:
        >>> published_matching(torch.tensor([[[5.0, 4.0], [4.0, 0.0]]]))
        tensor([[[0., 1.],
                 [1., 0.]]])
    """
    from scipy.optimize import linear_sum_assignment  # slow to import, and benchmarks are listed
    from scipy.sparse import coo_matrix

    costs = -scores.detach().cpu().numpy()
    dense = []
    for cost in costs:
        rows, columns = linear_sum_assignment(cost)
        dense.append(coo_matrix((np.ones(len(rows)), (rows, columns)), cost.shape).toarray())
    return torch.from_numpy(np.stack(dense)).to(scores)
