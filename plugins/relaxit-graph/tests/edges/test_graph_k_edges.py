"""Graphs with k edges are k-subsets of the edges."""

from __future__ import annotations

import math

import pytest
import torch
from graph_checks import without
from torch.distributions import kl_divergence

import relaxit
from relaxit import DomainError
from relaxit.errors import OptionsError
from relaxit.testing import parametrize_with_checks
from relaxit_graph.edges.k_edges import KEdges
from relaxit_graph.edges.vectors import adjacency, edge_vector

SUBSETS = ("compiled_equals_eager", "few_graphs_for_any_temperature")
"""Checks that take minutes and are those of the subset."""


@without(parametrize_with_checks([KEdges(nodes=3, edges=2)]), *SUBSETS)
def test_k_edges(check):
    check()


@pytest.mark.parametrize(("nodes", "edges"), [(4, 2), (4, 6), (5, 0), (6, 5)])
def test_quantities_are_those_of_the_subset(nodes, edges):
    graph = KEdges(nodes=nodes, edges=edges)
    subset = relaxit.get("subset", n=nodes * (nodes - 1) // 2, k=edges)
    params = torch.randn(3, nodes, nodes, dtype=torch.float64)
    p, q = graph(params).discrete, subset(edge_vector(params)).discrete
    assert torch.equal(p.mean, adjacency(q.mean))
    assert torch.equal(p.entropy(), q.entropy())
    assert torch.equal(p.mode, adjacency(q.mode))
    other = torch.randn(3, nodes, nodes, dtype=torch.float64)
    want = kl_divergence(q, subset(edge_vector(other)).discrete)
    assert torch.allclose(kl_divergence(p, graph(other).discrete), want)
    assert math.isclose(graph.log_cardinality, subset.log_cardinality, abs_tol=1e-12)
    drawn = p.sample((50,))
    assert torch.equal(drawn, drawn.mT)
    assert (drawn.sum((-2, -1)) == 2 * edges).all()
    assert torch.equal(p.log_prob(drawn), q.log_prob(edge_vector(drawn)))


def test_bad_input():
    with pytest.raises(OptionsError, match="exceeds the 6 edges of a complete graph of 4 nodes"):
        KEdges(nodes=4, edges=7)
    with pytest.raises(OptionsError, match="k-edges: nodes must be at least 2, got 1"):
        KEdges(nodes=1, edges=0)
    masked = torch.full((4, 4), -torch.inf)
    with pytest.raises(DomainError, match="fewer than k = 2 items not masked"):
        KEdges(nodes=4, edges=2)(masked)
