"""Edges as vectors and matrices, and the list of all trees."""

from __future__ import annotations

import pytest
import torch
from tree_oracles import normal, undirected

from relaxit_graph.trees.edges import edge_scores, matrix_of_edges, symmetric
from relaxit_graph.trees.polytope import spanning_tree, spanning_trees


@pytest.mark.parametrize("n", [1, 2, 5])
def test_vectors_and_matrices_of_edges_are_inverse(n):
    edges = normal(2, 3, n * (n - 1) // 2)
    matrix = matrix_of_edges(edges, n)
    assert matrix.shape == (2, 3, n, n)
    assert torch.equal(matrix, matrix.mT)
    assert not matrix.diagonal(dim1=-2, dim2=-1).any()
    torch.testing.assert_close(edge_scores(matrix), edges)


def test_the_score_of_an_edge_is_the_mean_of_both_directions():
    params = normal(4, 4)
    params.diagonal().fill_(-torch.inf)
    mean = symmetric(params)
    assert mean[1, 3] == (params[1, 3] + params[3, 1]) / 2
    assert not mean.diagonal().any()
    assert torch.equal(edge_scores(params)[:3], mean[0, 1:])


@pytest.mark.parametrize("n", range(1, 7))
def test_all_trees_are_listed_once(n):
    listed = spanning_trees(n)
    assert len(listed) == max(1, n ** (n - 2))
    assert spanning_tree.check(listed).all()
    want = {tuple(row) for row in undirected(n).flatten(1).tolist()}
    assert {tuple(row) for row in listed.flatten(1).tolist()} == want


def test_other_matrices_are_not_trees():
    tree = spanning_trees(4)[5]
    cycle = torch.zeros(4, 4, dtype=torch.float64)
    for i, j in ((0, 1), (1, 2), (0, 2)):  # three edges, and node 3 alone
        cycle[i, j] = cycle[j, i] = 1.0
    one_way, loop = tree.clone(), tree.clone()
    one_way[tree.nonzero()[0][0], tree.nonzero()[0][1]] = 0.0
    loop[1, 1] = 1.0
    wrong = torch.stack([cycle, one_way, loop, tree / 2, 1 - tree, 0 * tree, tree * torch.nan])
    assert spanning_tree.check(tree)
    assert not spanning_tree.check(wrong).any()
