"""Pairs of nodes: which shapes are those of graphs, and what params and values stand for."""

from __future__ import annotations

import pytest
import torch

from relaxit_graph.tasks.interactions.pairs import adjacency_of, nodes_of, params_of


@pytest.mark.parametrize("nodes", [1, 2, 3, 7, 40])
def test_both_shapes_of_graphs_are_known(nodes):
    assert nodes_of([nodes, nodes]) == nodes
    pairs = nodes * (nodes - 1) // 2
    if pairs:
        assert nodes_of([pairs]) == nodes


@pytest.mark.parametrize("shape", [[], [2], [4], [5], [7], [3, 4], [2, 2, 2]])
def test_other_shapes_are_not(shape):
    assert nodes_of(shape) == 0


@pytest.mark.parametrize("nodes", [2, 3, 6])
def test_a_vector_and_a_matrix_stand_for_the_same_graph(nodes):
    scores = torch.randn(4, nodes, nodes)
    scores = (scores + scores.mT).triu(1)
    scores = scores + scores.mT
    pairs = nodes * (nodes - 1) // 2
    assert torch.equal(adjacency_of(params_of(scores, [pairs]), [pairs]), scores)
    assert torch.equal(params_of(scores, [nodes, nodes]), scores)
    assert torch.equal(adjacency_of(scores, [nodes, nodes]), scores)


def test_a_directed_edge_joins_both_and_a_root_none():
    value = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    expected = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    assert torch.equal(adjacency_of(value, [3, 3]), expected)
