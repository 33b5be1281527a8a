"""Graphs with k edges are k-subsets of the edges."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import kl_divergence

import relaxit
from relaxit import DomainError
from relaxit.errors import OptionsError
from relaxit.testing import parametrize_with_checks
from relaxit_graph.edges.k_edges import KEdges
from relaxit_graph.edges.vectors import adjacency, edge_vector

COMPILES = ("compiled_equals_eager", "few_graphs_for_any_temperature")


def checks_but(*dropped):
    """The checks of the kit, less some that take minutes and are those of the subset."""
    name, params = parametrize_with_checks([KEdges(nodes=3, edges=2)]).args
    ends = tuple(f"-{each}" for each in dropped)
    kept = [param for param in params if not str(param.id).endswith(ends)]
    assert len(kept) == len(params) - len(dropped)
    return pytest.mark.parametrize(name, kept)


@checks_but(*COMPILES)
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
    masked = torch.full((4, 4), -torch.inf)
    with pytest.raises(DomainError, match="fewer than k = 2 items not masked"):
        KEdges(nodes=4, edges=2)(masked)
