"""The exact distribution of directed trees."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from relaxit import DiscreteDistribution, noise
from relaxit.aliases import Generator
from relaxit.dtypes import longest_dtype
from relaxit_graph.arborescences.partition import partition, to_root
from relaxit_graph.arborescences.vertices import arcs_of
from relaxit_graph.trees.sampler import draw_parents

__all__ = ["DirectedTrees"]


class DirectedTrees(DiscreteDistribution):
    """Trees with probability proportional to the exponential of the sum of their scores.

    With the log-partition function log Z and the matrix mu of marginals,

        log p(v) = <theta, v> - log Z,    H = log Z - <theta, mu>,
        KL(p, p') = <theta - theta', mu> - log Z + log Z'.

    Computed in float64, where the device has it.

    Reference: Smith, Smith, "Probabilistic Models of Nonprojective Dependency Trees", EMNLP 2007.
    """

    def __init__(self, relaxation: Any, params: Tensor) -> None:
        super().__init__(relaxation, params)
        self.single_root: bool = relaxation.single_root
        wide = self.scores.to(longest_dtype(params.device))
        # Each tree has one entry of each column, so a shift of columns changes only rounding.
        self.weights = wide - wide.detach().amax(-2, keepdim=True)

    def _solve(self) -> tuple[Tensor, Tensor]:
        """Return log Z and the marginals."""
        return partition(self.weights, self.single_root, self.scores.dtype)

    def _log_prob(self, value: Tensor) -> Tensor:
        return (_score(self.weights, value) - self._solve()[0]).to(self.scores.dtype)

    def entropy(self) -> Tensor:
        """Compute the entropy ``[*batch]`` in nats."""
        log_z, marginals = self._solve()
        return (log_z - _score(self.weights, marginals)).to(self.scores.dtype)

    def _mean(self) -> Tensor:
        """Return the probability of each arc and each root."""
        return self._solve()[1]

    def _mode(self) -> Tensor:
        best: Tensor = self.relaxation.argmax(self.weights)  # type: ignore[attr-defined]
        return best

    def _sample(self, shape: torch.Size, generator: Generator = None) -> Tensor:
        x = self.weights
        if self.single_root:
            x = self._with_root(shape, generator)
            shape = torch.Size()
        heads = draw_parents(to_root(x), shape, generator)[..., 1:]
        n = int(x.shape[-1])
        return arcs_of(torch.where(heads == 0, n, heads - 1), x.dtype)

    def _with_root(self, shape: torch.Size, generator: Generator) -> Tensor:
        """Draw the only root; return weights ``[*shape, *batch, n, n]`` that exclude all others."""
        chances = self._solve()[1].diagonal(dim1=-2, dim2=-1)
        full = shape + chances.shape
        g = noise.gumbel(full, dtype=chances.dtype, device=chances.device, generator=generator)
        root = (chances.log() + g).argmax(-1, keepdim=True)
        node = torch.arange(int(chances.shape[-1]), device=chances.device)
        own, of_root = node == node.unsqueeze(-1), (node == root).unsqueeze(-2)
        return self.weights.masked_fill(own & ~of_root, -torch.inf)

    def _enumerate_support(self) -> Tensor:
        return self.relaxation.enumerate_vertices()

    def kl(self, other: DirectedTrees) -> Tensor:
        log_z, marginals = self._solve()
        none = marginals.detach() == 0  # where an arc is excluded by both, their gap is NaN
        gap = self.weights.masked_fill(none, 0.0) - other.weights.masked_fill(none, 0.0)
        gain = _score(gap, marginals) - log_z + other._solve()[0]
        return gain.to(self.scores.dtype)


def _score(weights: Tensor, value: Tensor) -> Tensor:
    """Return the inner product of matrices, in which 0 times ``-inf`` is 0."""
    none = (value.detach() == 0) & weights.isinf()
    return (weights.masked_fill(none, 0.0) * value).sum((-2, -1))
