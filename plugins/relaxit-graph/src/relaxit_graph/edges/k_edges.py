"""Graphs with a fixed number of edges: k-subsets of the edges."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator
from torch import Tensor

import relaxit
from relaxit import Capabilities, PerturbAndRelax
from relaxit.seeded_distribution import SeededDistribution
from relaxit_graph.edges.on_edges import OnEdges, of_vector
from relaxit_graph.edges.on_nodes import GraphOptions

__all__ = ["KEdges", "KEdgesOptions"]


class KEdgesOptions(GraphOptions):
    """Options of :class:`KEdges`."""

    nodes: int = Field(ge=2, description="number of nodes", examples=[5])
    edges: int = Field(ge=0, description="number of edges of a graph", examples=[3])

    @model_validator(mode="after")
    def _edges_fit(self) -> Self:
        most = self.nodes * (self.nodes - 1) // 2
        if self.edges > most:
            raise ValueError(
                f"edges = {self.edges} exceeds the {most} edges of a complete graph of "
                f"{self.nodes} nodes"
            )
        return self


class KEdges(OnEdges):
    """Graphs with k edges; params and values ``[*batch, n, n]``.

    Their edges are a k-subset of all edges under the conditional Poisson distribution: independent
    edges, given that there are k of them. It is the structure ``subset`` of the package
    relaxit-subset, which has to be installed; mass, density, samples and capabilities are those of
    that structure.

    A value is symmetric, with zeros on the diagonal. The score of an edge is the mean of both
    entries of params; the diagonal of params is not used. A param of ``-inf`` removes an edge,
    ``+inf`` forces it in.

    Example:
        >>> import torch
        >>> from relaxit_graph.edges.k_edges import KEdges
        >>> graph = KEdges(nodes=4, edges=2)
        >>> q = graph(torch.zeros(4, 4), temperature=0.5)
        >>> q.sample_hard((3,)).sum((-1, -2))
        tensor([4., 4., 4.])
        >>> round(graph.log_cardinality, 4)  # 15 graphs
        2.7081
    """

    api = 1
    name = "k-edges"
    aliases = ("k-edge-graph",)
    summary = "graphs with k edges: conditional Poisson distribution (needs relaxit-subset)"
    references = ("Chen, Dempster, Liu, Biometrika 81 (1994) (conditional Poisson)",)
    Options = KEdgesOptions
    options: KEdgesOptions
    capabilities = Capabilities(
        density=True, log_space=True, discrete_distribution=True, exact_rounding=False, masks=True
    )

    @classmethod
    def examples(cls) -> list[KEdges]:
        return [cls(nodes=3, edges=2), cls(nodes=4, edges=2)]

    def structure(self) -> PerturbAndRelax:
        subset = relaxit.get("subset", n=self.edge_count, k=self.options.edges)
        assert isinstance(subset, PerturbAndRelax)
        return subset

    @property
    def log_cardinality(self) -> float:
        return self.inner.log_cardinality

    def log_space(self, params: Tensor, temperature: float | Tensor) -> SeededDistribution:
        """Return the distribution of the logits of the edges of a soft value."""
        return self.inner.log_space(self.vector(params), of_vector(temperature))

    def from_log_space(self, value: Tensor) -> Tensor:
        """Map logits of the edges ``[..., E]`` to a soft value."""
        return self.matrix(self.inner.from_log_space(value))
