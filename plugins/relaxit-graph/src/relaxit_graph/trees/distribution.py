"""The exact distribution of spanning trees with independent weights of the edges."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from relaxit import DiscreteDistribution, Unsupported
from relaxit.aliases import Generator
from relaxit.dtypes import longest_dtype
from relaxit_graph.edges.vectors import symmetric
from relaxit_graph.trees.arithmetic import all_trees
from relaxit_graph.trees.log_partition import log_partition
from relaxit_graph.trees.polytope import spanning_trees
from relaxit_graph.trees.sampler import draw_parents

__all__ = ["MOST_NODES", "SpanningTreeDistribution", "centred"]

MOST_NODES = 6
"""The trees of larger graphs are not listed; there are n^(n - 2) of them."""


class SpanningTreeDistribution(DiscreteDistribution):
    """Spanning trees with probability proportional to the exponential of the sum of their scores.

    With the marginals mu of the edges and log Z, all computed in float64 where the device has it,

        log p(v) = sum of the scores in v - log Z,    H = log Z - sum of mu times scores.

    Attributes:
        weights: scores of the edges up to a constant, a symmetric matrix ``[*batch, n, n]``.
    """

    def __init__(self, relaxation: Any, params: Tensor) -> None:
        super().__init__(relaxation, params)
        self.weights = centred(symmetric(self.scores.to(longest_dtype(params.device))))

    def _log_prob(self, value: Tensor) -> Tensor:
        return (_total(self.weights, value.to(self.weights.dtype)) - self._solve()[0]).to(
            self.scores.dtype
        )

    def entropy(self) -> Tensor:
        """Entropy ``[*batch]`` in nats."""
        log_z, mean = self._log_z_and_mean()
        return (log_z - _total(self.weights, mean)).to(self.scores.dtype)

    def _mean(self) -> Tensor:
        """Probability ``[*batch, n, n]`` of each edge."""
        return self._log_z_and_mean()[1]

    def _mode(self) -> Tensor:
        best: Tensor = self.relaxation.argmax(self.weights)  # type: ignore[attr-defined]
        return best

    def _sample(self, shape: torch.Size, generator: Generator = None) -> Tensor:
        n = self.weights.shape[-1]
        parents = draw_parents(self.weights, shape, generator)
        nodes = torch.arange(n, device=parents.device)
        arrows = (parents.unsqueeze(-1) == nodes) & (nodes > 0).unsqueeze(-1)
        return arrows | arrows.mT

    def _enumerate_support(self) -> Tensor:
        if not self.has_enumerate_support:
            raise Unsupported(
                f"{self.relaxation.name}: the trees of {self.relaxation!r} are too many to list; "
                f"they are listed for at most {MOST_NODES} nodes"
            )
        return spanning_trees(self.event_shape[0])

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        """Whether there are few enough nodes to list all trees."""
        return self.event_shape[0] <= MOST_NODES

    def kl(self, other: SpanningTreeDistribution) -> Tensor:
        log_z, mean = self._log_z_and_mean()
        unused = mean.detach() == 0
        gap = self.weights.masked_fill(unused, 0.0) - other.weights.masked_fill(unused, 0.0)
        divergence = _total(gap, mean) - log_z + other._solve()[0]
        return divergence.to(self.scores.dtype)

    def _log_z_and_mean(self) -> tuple[Tensor, Tensor]:
        log_z, marginals = self._solve()
        return log_z, marginals + marginals.mT

    def _solve(self) -> tuple[Tensor, Tensor]:
        """Return log Z and the marginals of directed edges."""
        return log_partition(self.weights, all_trees(self.scores.dtype))


def centred(scores: Tensor) -> Tensor:
    """Subtract the greatest score of a graph, which leaves the distribution of its trees as it is.

    Args:
        scores: a symmetric matrix ``[*batch, n, n]``.

    Returns:
        The same shape, with a diagonal of zeros.

    Example:
        >>> centred(torch.tensor([[0.0, 5.0, 3.0], [5.0, 0.0, 3.0], [3.0, 3.0, 0.0]]))
        tensor([[ 0.,  0., -2.],
                [ 0.,  0., -2.],
                [-2., -2.,  0.]])
    """
    diagonal = torch.eye(scores.shape[-1], dtype=torch.bool, device=scores.device)
    edges = scores.detach().masked_fill(diagonal, -torch.inf)
    top = edges.amax((-2, -1), keepdim=True).nan_to_num(0.0, 0.0, 0.0)  # there may be no edges
    return (scores - top).masked_fill(diagonal, 0.0)


def _total(scores: Tensor, value: Tensor) -> Tensor:
    """Return the sum of scores times values over all edges, in which 0 times -inf is 0."""
    unused = (value.detach() == 0) & scores.detach().isinf()
    return (scores.masked_fill(unused, 0.0) * value).sum((-2, -1)) / 2
