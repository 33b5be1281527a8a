r"""Sums over spanning trees by inverting the matrix of Kirchhoff, and where that is accurate.

With weights w_ij and the sums t_i of their rows, K = diag(t) - w without the row and column of the
root, and D its inverse, Z = det K and the marginal of the edge i -> j is w_ij (D_ii - D_ji), where
D_j0 and D_0i are zero. This is several times as fast as the elimination in
:mod:`relaxit_graph.trees.elimination`, but it subtracts, and it may lose all digits.

How many are lost is known afterwards. Entries of D have an error of the size of D diag(t) D times
the rounding unit u, and D_ji <= D_ii, because D_ji / D_ii is the probability that the walk from j
visits i. So the marginal of an edge i -> j has a relative error of about

    u D_ii (c_i + c_j) / (D_ii - D_ji),    where c_i is the sum of D_ik t_k over k.

Where this is too much for any edge of a graph, the inverse of that graph is not used.

References: Kirchhoff 1847, Tutte 1948 (the matrix-tree theorem); Higham, Accuracy and Stability of
Numerical Algorithms, 2nd ed., 2002, section 14.1 (errors of inverses).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["change_by_inverse", "sums_by_inverse"]


def sums_by_inverse(x: Tensor, error: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return log Z, the marginals of all edges and the inverse, NaN where it is not accurate.

    Args:
        x: log-weights ``[B, n, n]`` in float64, as for
            :func:`relaxit_graph.trees.elimination.eliminate`.
        error: largest estimate of the relative error of a marginal.

    Returns:
        ``[B]``, ``[B, n, n]`` and the transposed inverse ``[B, n, n]``, in which the row and the
        column of node 0 are zero. It is NaN for graphs whose marginals may have a greater error.
    """
    weights, top = _weights(x)
    sums = weights.sum(-1)
    sums[:, 0] = 1.0  # the root is left as a block of its own
    # The factors of the transposed matrix, whose diagonal is as large as the rest of a column, need
    # no exchange of rows. So all terms are positive, and scaling a row has no effect on rounding.
    matrix = weights.mT.neg()
    matrix[:, 0] = 0.0
    matrix.diagonal(dim1=-2, dim2=-1).copy_(sums)
    factors, order, _ = torch.linalg.lu_factor_ex(matrix)
    log_det = factors.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
    one = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device).expand_as(x)
    inverse = torch.linalg.lu_solve(factors, order, one)
    own, steps = _bounds(inverse, sums)
    inverse[:, 0, 0] = 0.0
    gaps = _gaps(inverse)
    least = gaps.masked_fill(weights == 0, math.inf)[:, 1:].amin(-1)
    unit = torch.finfo(x.dtype).eps / 2
    errors = 2 * unit * own[:, 1:] * steps.unsqueeze(-1)
    accurate = (errors <= error * least).all(-1)  # not if it is NaN
    inverse.masked_fill_(~accurate[:, None, None], math.nan)
    return log_det + top.sum(-1), gaps.mul_(weights), inverse


def change_by_inverse(x: Tensor, inverse: Tensor, along: Tensor) -> Tensor:
    """Return the derivative of the marginals along a direction, ``[B, n, n]``.

    Args:
        x: log-weights ``[B, n, n]``.
        inverse: what :func:`sums_by_inverse` returned for them.
        along: direction ``[B, n, n]``, a change of the log-weights.
    """
    weights, _ = _weights(x)
    gaps = _gaps(inverse)
    change = along.masked_fill(weights == 0, 0.0).mul_(weights)
    of_matrix = change.mT.neg()
    of_matrix.diagonal(dim1=-2, dim2=-1).copy_(change.sum(-1))
    of_inverse = inverse @ of_matrix @ inverse
    return change.mul_(gaps).addcmul_(weights, _gaps(of_inverse), value=-1)


def _weights(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights, each row divided by its greatest, and logarithms of what divided them.

    Args:
        x: log-weights ``[B, n, n]``.

    Returns:
        ``[B, n, n]``, in which the row of the root and the diagonal are zero, and ``[B, n - 1]``.
    """
    weights = x.clone()
    weights[:, 0] = -math.inf
    weights.diagonal(dim1=-2, dim2=-1).fill_(-math.inf)
    top = weights[:, 1:].amax(-1)
    weights[:, 1:] -= top.unsqueeze(-1)
    return weights.exp_(), top


def _bounds(inverse: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
    """Return the greatest ``D_ji`` of each node i, ``[B, n]``, and the greatest c_i, ``[B]``.

    The greatest is D_ii, unless all digits are lost, where D_ii itself may be small, or zero.
    """
    size = inverse.abs()
    return size.amax(-1), (sums.unsqueeze(-2) @ size).amax((-2, -1))


def _gaps(inverse: Tensor) -> Tensor:
    """Return ``D_ii - D_ji`` in row i and column j, from the transpose of D."""
    own = inverse.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)
    return torch.sub(own, inverse, out=inverse.new_empty(inverse.shape))
