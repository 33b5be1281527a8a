"""What one would write without the package, as baselines of the benchmarks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["chain_marginals", "determinant_marginals", "inverse_marginals", "trees_by_scipy"]


def inverse_marginals(scores: Tensor) -> Tensor:  # [batch, n, n] -> same
    """Return the marginals of undirected edges by the inverse of the reduced Laplacian.

    Scores are symmetric; the diagonal is not read. Exact in exact arithmetic, but it cancels.
    """
    diagonal = torch.eye(scores.shape[-1], dtype=torch.bool, device=scores.device)
    weights = scores.exp().masked_fill(diagonal, 0.0)
    laplacian = torch.diag_embed(weights.sum(-1)) - weights
    inverse = torch.linalg.inv(laplacian[..., 1:, 1:])
    inverse = torch.nn.functional.pad(inverse, (1, 0, 1, 0))
    own = inverse.diagonal(dim1=-2, dim2=-1)
    resistance = own.unsqueeze(-1) + own.unsqueeze(-2) - 2 * inverse
    return weights * resistance


def determinant_marginals(scores: Tensor) -> Tensor:  # [batch, n, n] -> same
    """Return the marginals of directed trees with any number of roots, by a determinant.

    Entry i, j of the scores is that of the arc from head i to child j, the diagonal that of roots.
    """
    leaf = scores.detach().requires_grad_()
    weights = leaf.exp()
    roots = weights.diagonal(dim1=-2, dim2=-1)
    arcs = weights - torch.diag_embed(roots)
    log_z = (torch.diag_embed(arcs.sum(-2) + roots) - arcs).slogdet()[1]
    return torch.autograd.grad(log_z.sum(), leaf)[0]


def trees_by_scipy(scores: Tensor) -> Tensor:  # [batch, n, n] -> same
    """Return maximum spanning trees, one call of SciPy for each row of the batch."""
    from scipy.sparse.csgraph import minimum_spanning_tree

    found = []
    for row in scores.numpy():
        costs = row.max() - row + 1.0  # SciPy takes 0 for an absent edge
        tree = minimum_spanning_tree(costs).toarray() > 0
        found.append(tree | tree.T)
    return torch.from_numpy(np.stack(found)).to(scores.dtype)


def chain_marginals(unary: Tensor, pair: Tensor) -> Tensor:
    """Return the marginals ``[batch, T, S]`` of a chain by messages from both ends.

    Args:
        unary: scores of states ``[batch, T, S]``.
        pair: scores of a state and the next one ``[batch, T - 1, S, S]``.
    """
    steps = pair.unbind(1)
    forward, backward = [unary[:, 0]], [torch.zeros_like(unary[:, 0])]
    for t, step in enumerate(steps):
        arriving = (forward[-1].unsqueeze(-1) + step).logsumexp(-2)
        forward.append(arriving + unary[:, t + 1])
    for t in reversed(range(len(steps))):
        leaving = steps[t] + (unary[:, t + 1] + backward[-1]).unsqueeze(-2)
        backward.append(leaving.logsumexp(-1))
    return (torch.stack(forward, 1) + torch.stack(backward[::-1], 1)).softmax(-1)
