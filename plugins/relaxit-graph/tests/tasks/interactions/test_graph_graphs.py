"""Random graphs: each kind has its number of edges, and every graph is equally likely."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from relaxit_graph.tasks.interactions import random_graphs


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def known(kind, nodes, edges):
    """All graphs of a kind, as sets of edges."""
    pairs = [*itertools.combinations(range(nodes), 2)]
    sizes = {"tree": [nodes - 1], "k-edges": [edges], "independent": range(len(pairs) + 1)}[kind]
    chosen = [frozenset(c) for size in sizes for c in itertools.combinations(pairs, size)]
    if kind != "tree":
        return chosen
    return [c for c in chosen if joins_all(c, nodes)]


def joins_all(edges, nodes):
    """Whether every node is reached from the first."""
    reached = {0}
    for _ in range(nodes):
        reached |= {node for edge in edges if reached & {*edge} for node in edge}
    return len(reached) == nodes


@pytest.mark.parametrize("kind", ["tree", "k-edges", "independent"])
@pytest.mark.parametrize("nodes", [3, 4])
def test_every_graph_is_equally_likely(kind, nodes):
    expected = known(kind, nodes, 2)
    draws = 300 * len(expected)
    graphs = random_graphs(kind, draws, nodes, 2, rng())
    counts = dict.fromkeys(expected, 0)
    for graph in graphs:
        counts[frozenset((i, j) for i, j in graph.nonzero().tolist() if i < j)] += 1
    statistic = sum((count - 300) ** 2 / 300 for count in counts.values())
    freedom = len(expected) - 1
    # Wilson and Hilferty's approximation at 4.5 standard deviations: a false alarm in 3e5 seeds.
    limit = freedom * (1 - 2 / (9 * freedom) + 4.5 * math.sqrt(2 / (9 * freedom))) ** 3
    assert statistic < limit


@pytest.mark.parametrize("kind", ["tree", "k-edges", "independent"])
@pytest.mark.parametrize("nodes", [2, 5, 12])
def test_graphs_are_symmetric_without_loops(kind, nodes):
    graphs = random_graphs(kind, 50, nodes, 1, rng())
    assert graphs.dtype == torch.uint8
    assert graphs.shape == (50, nodes, nodes)
    assert torch.equal(graphs, graphs.mT)
    assert not graphs.diagonal(dim1=1, dim2=2).any()
    assert int(graphs.max()) <= 1


@pytest.mark.parametrize("nodes", [2, 3, 12])
def test_trees_join_all_nodes(nodes):
    for graph in random_graphs("tree", 50, nodes, generator=rng()):
        edges = [(i, j) for i, j in graph.nonzero().tolist() if i < j]
        assert len(edges) == nodes - 1
        assert joins_all(edges, nodes)
