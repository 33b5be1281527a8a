"""Independent edges: a random graph, each of whose edges is a bit."""

from __future__ import annotations

import itertools
import math
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions.constraints import Constraint, real_vector

import relaxit
from relaxit import Capabilities, PerturbAndRelax, Unsupported, noise
from relaxit.aliases import Generator, Shape
from relaxit.seeded_distribution import SeededDistribution
from relaxit_graph.edges.on_edges import OnEdges, OnEdgesDistribution, of_vector
from relaxit_graph.edges.on_nodes import GraphOptions
from relaxit_graph.edges.vectors import arc_matrix, arc_vector

__all__ = ["Edges", "EdgesOptions"]

MOST_EDGES = 16
"""Graphs with more edges than this are not listed."""


class EdgesOptions(GraphOptions):
    """Options of :class:`Edges`."""

    directed: bool = Field(
        default=False, description="whether i -> j and j -> i are different edges"
    )


class Edges(OnEdges):
    """Independent edges; params and values ``[*batch, n, n]``.

    The baseline for structures of graphs, as in neural relational inference. Each edge is a bit
    whose logit is its score, relaxed by the binary Concrete distribution. All of it is exact: the
    density of the soft sample, the mass, and the hard sample of a draw, which has this mass.

    A value is symmetric, with zeros on the diagonal. The score of an edge is the mean of both
    entries of params, so symmetric params are the logits. With ``directed`` each entry off the
    diagonal is an edge of its own, from the row to the column. The diagonal of params is not used.

    A param of ``-inf`` removes an edge, ``+inf`` forces it in.

    Example:
        >>> import torch, relaxit
        >>> from relaxit_graph.edges.edges import Edges
        >>> q = Edges(nodes=3)(torch.tensor([[0.0, 2.0, 1.0], [2.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
        >>> q.discrete.mean
        tensor([[0.0000, 0.8808, 0.7311],
                [0.8808, 0.0000, 0.5000],
                [0.7311, 0.5000, 0.0000]])
        >>> hard = q.sample_hard((10,))
        >>> torch.equal(hard, hard.mT)
        True
    """

    api = 1
    name = "edges"
    aliases = ("random-graph", "independent-edges")
    summary = "a graph of independent edges: binary Concrete for each"
    references = (
        "arXiv:1802.04687 (neural relational inference)",
        "arXiv:1611.00712 (Concrete), appendix B",
    )
    Options = EdgesOptions
    options: EdgesOptions
    capabilities = Capabilities(
        density=True,
        log_space=True,
        discrete_distribution=True,
        exact_rounding=True,
        masks=True,
        conditional=True,
    )
    noise = staticmethod(noise.logistic)

    @classmethod
    def examples(cls) -> list[Edges]:
        return [cls(nodes=3), cls(nodes=3, directed=True), cls(nodes=4)]

    def structure(self) -> PerturbAndRelax:
        binary = relaxit.get("binary")
        assert isinstance(binary, PerturbAndRelax)
        return binary

    def vector(self, matrix: Tensor) -> Tensor:
        return arc_vector(matrix) if self.options.directed else super().vector(matrix)

    def matrix(self, vector: Tensor) -> Tensor:
        if self.options.directed:
            return arc_matrix(vector, self.options.nodes)
        return super().matrix(vector)

    @property
    def edge_count(self) -> int:
        nodes = self.options.nodes
        return nodes * (nodes - 1) // (1 if self.options.directed else 2)

    def statistics(self, value: Tensor) -> Tensor:
        return value if self.options.directed else super().statistics(value)

    def from_statistics(self, statistics: Tensor) -> Tensor:
        return statistics if self.options.directed else super().from_statistics(statistics)

    @property
    def log_cardinality(self) -> float:
        return self.edge_count * math.log(2)

    def perturb_given(
        self,
        params: Tensor,
        hard: Tensor,
        shape: torch.Size = torch.Size(),
        generator: Generator = None,
    ) -> Tensor:
        logits, bits = self.vector(params), self.vector(hard)
        return self.matrix(self.inner.perturb_given(logits, bits, shape, generator))

    def log_space(self, params: Tensor, temperature: float | Tensor) -> EdgeLogits:
        return EdgeLogits(self, params, temperature)

    def from_log_space(self, value: Tensor) -> Tensor:
        """Map logits of the edges ``[..., E]`` to a soft value."""
        return self.matrix(value.sigmoid())

    def discrete(self, params: Tensor) -> IndependentEdges:
        return IndependentEdges(self, params)


class IndependentEdges(OnEdgesDistribution):
    """The distribution of a graph whose edges are independent bits."""

    relaxation: Edges

    def _enumerate_support(self) -> Tensor:
        edges = self.relaxation.edge_count
        if edges > MOST_EDGES:
            raise Unsupported(f"edges: 2^{edges} graphs are too many to list (2^{MOST_EDGES})")
        bits = list(itertools.product((0.0, 1.0), repeat=edges))
        listed = torch.tensor(bits, dtype=torch.float32, device=self.scores.device)
        return self.relaxation.matrix(listed)

    @property
    def variance(self) -> Tensor:
        of_edges = self.relaxation.matrix(self.inner.variance)
        return of_edges.to(self.params.dtype)


class EdgeLogits(SeededDistribution):
    """The distribution of the logits ``[*, E]`` of the edges of a soft value.

    Args:
        relaxation: the structure.
        params: params ``[*batch, n, n]``.
        temperature: float, or tensor ``[*batch, 1, 1]``.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample = True

    def __init__(self, relaxation: Edges, params: Tensor, temperature: float | Tensor) -> None:
        self.relaxation, self.params, self.temperature = relaxation, params, temperature
        aligned = of_vector(temperature)
        self.of_edges = relaxation.inner.log_space(relaxation.vector(params), aligned)
        super().__init__(
            params.shape[:-2], torch.Size((relaxation.edge_count,)), validate_args=False
        )

    def expand(self, batch_shape: Any, _instance: Any = None) -> EdgeLogits:
        params = self.params.expand(torch.Size(batch_shape) + self.params.shape[-2:])
        return EdgeLogits(self.relaxation, params, self.temperature)  # which broadcasts

    @property
    def support(self) -> Constraint:
        return real_vector

    def rsample(self, sample_shape: Shape = torch.Size(), generator: Generator = None) -> Tensor:
        """Draw logits ``[*sample, *batch, E]`` with pathwise gradient."""
        return self.of_edges.rsample(sample_shape, generator)

    def log_prob(self, value: Tensor) -> Tensor:
        self.check_value(value)
        return self.of_edges.log_prob(value).sum(-1)
