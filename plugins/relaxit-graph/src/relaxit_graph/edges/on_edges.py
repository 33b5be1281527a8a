"""Structures of edges: another structure, on the vector of the edges of a graph.

Independent bits on the edges are a random graph, k-subsets of the edges are a graph with k edges.
The structure on the vector is one of relaxit or of another package, found by its name. Here it gets
params and values that are matrices.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.distributions import kl_divergence
from torch.distributions.constraints import Constraint

from relaxit import DiscreteDistribution, Options, PerturbAndRelax, constraints
from relaxit.aliases import Generator
from relaxit.seeded_distribution import SeededDistribution
from relaxit_graph.edges.on_nodes import OnNodes
from relaxit_graph.edges.vectors import adjacency, edge_vector

__all__ = ["OnEdges", "OnEdgesDistribution", "of_vector"]


class OnEdges(OnNodes, PerturbAndRelax):
    """A structure on the vector of edges; params and values are matrices ``[*batch, n, n]``.

    Values are symmetric, with zeros on the diagonal. The score of an edge is the mean of both
    entries of params; the diagonal of params is not used, but must not be NaN. Subclasses name the
    structure on the vector.
    """

    inner: PerturbAndRelax

    def __init__(self, options: Options | None = None, /, **fields: Any) -> None:
        super().__init__(options, **fields)
        # Looked up once: compiled code cannot ask the registry.
        object.__setattr__(self, "inner", self.structure())

    @abstractmethod
    def structure(self) -> PerturbAndRelax:
        """Return the structure on the vector of edges."""

    def vector(self, matrix: Tensor) -> Tensor:  # [..., n, n] -> [..., E]
        """Return one number for each edge."""
        return edge_vector(matrix)

    def matrix(self, vector: Tensor) -> Tensor:  # [..., E] -> [..., n, n]
        """Return the matrix with one number for each edge."""
        return adjacency(vector)

    @property
    def edge_count(self) -> int:
        """Number of edges of the complete graph."""
        nodes = self.options.nodes
        return nodes * (nodes - 1) // 2

    def total(self, of_edges: Tensor) -> Tensor:
        """Return a quantity of the graph: a sum over edges, if the structure is a single edge."""
        return of_edges if self.inner.event_shape else of_edges.sum(-1)

    @property
    def noise_shape(self) -> torch.Size:
        return torch.Size((self.edge_count,))

    @property
    def support(self) -> Constraint:
        return _OfEdges(self, self.inner.support)

    @property
    def vertices(self) -> Constraint:
        return _OfEdges(self, self.inner.vertices)

    def statistics(self, value: Tensor) -> Tensor:
        return value / 2

    def from_statistics(self, statistics: Tensor) -> Tensor:
        return statistics + statistics.mT

    def valid_params(self, params: Tensor) -> Tensor:
        legal = self.inner.valid_params(self.vector(params))
        if not self.inner.event_shape:
            legal = legal.all(-1)
        return legal & ~params.isnan().flatten(-2).any(-1)

    @property
    def illegal_params(self) -> str:
        return f"{self.inner.illegal_params}, or -inf and +inf for one edge"

    def add_noise(self, params: Tensor, noise: Tensor) -> Tensor:
        return self.matrix(self.vector(params) + noise)

    def noised(self, params: Tensor) -> Tensor:
        return self.vector(params)

    def relax(self, scores: Tensor, temperature: float | Tensor) -> Tensor:
        return self.matrix(self.inner.relax(self.vector(scores), of_vector(temperature)))

    def argmax(self, scores: Tensor) -> Tensor:
        return self.matrix(self.inner.argmax(self.vector(scores)))

    def hard(self, soft: Tensor) -> Tensor:
        return self.matrix(self.inner.hard(self.vector(soft)))

    def finish(self, soft: Tensor, params: Tensor) -> Tensor:
        return self.matrix(self.inner.finish(self.vector(soft), self.vector(params)))

    def log_prob(self, params: Tensor, temperature: float | Tensor, value: Tensor) -> Tensor:
        """Return the log-density ``[..., *batch]`` with respect to one number for each edge."""
        vectors = self.vector(params), of_vector(temperature), self.vector(value)
        return self.total(self.inner.log_prob(*vectors))

    def discrete(self, params: Tensor) -> OnEdgesDistribution:
        return OnEdgesDistribution(self, params)


class OnEdgesDistribution(DiscreteDistribution):
    """The distribution of a graph whose edges follow that of the structure on their vector."""

    relaxation: OnEdges

    @property
    def inner(self) -> SeededDistribution:
        """Distribution of the vector of edges, or of each edge."""
        return self.relaxation.inner.discrete(self.relaxation.vector(self.scores))

    def _log_prob(self, value: Tensor) -> Tensor:
        return self.relaxation.total(self.inner.log_prob(self.relaxation.vector(value)))

    def entropy(self) -> Tensor:
        """Compute the entropy ``[*batch]`` in nats."""
        return self.relaxation.total(self.inner.entropy())

    def _mean(self) -> Tensor:
        """Return the probability of each edge."""
        return self.relaxation.matrix(self.inner.mean)

    def _mode(self) -> Tensor:
        return self.relaxation.matrix(self.inner.mode)

    def _sample(self, shape: torch.Size, generator: Generator = None) -> Tensor:
        return self.relaxation.matrix(self.inner.sample(shape, generator))

    def _enumerate_support(self) -> Tensor:
        listed = self.inner.enumerate_support(expand=False)
        return self.relaxation.matrix(listed.reshape(len(listed), -1))

    def kl(self, other: OnEdgesDistribution) -> Tensor:
        return self.relaxation.total(kl_divergence(self.inner, other.inner))


class _OfEdges(Constraint):
    """Matrices of the edges of a graph whose vector fulfils a constraint."""

    event_dim = 2

    def __init__(self, relaxation: OnEdges, of_vector: Constraint) -> None:
        self.relaxation, self.of_vector = relaxation, of_vector
        self.is_discrete = of_vector.is_discrete
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        vector = self.relaxation.vector(value)
        inside = self.of_vector.check(vector)
        if self.of_vector.event_dim == 0:
            inside = inside.all(-1)
        off = (self.relaxation.matrix(vector) - value).abs().flatten(-2)
        allowed = 0.0 if self.of_vector.is_discrete else constraints.tolerance(value)
        return inside & (off <= allowed).all(-1)


def of_vector(temperature: float | Tensor) -> float | Tensor:
    """Return a temperature that is aligned with a matrix, aligned with a vector."""
    aligned = isinstance(temperature, Tensor) and temperature.dim() > 0
    return temperature.squeeze(-1) if aligned else temperature  # type: ignore[union-attr]
