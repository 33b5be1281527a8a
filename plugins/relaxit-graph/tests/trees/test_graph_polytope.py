"""The list of all trees, and what is a tree."""

from __future__ import annotations

import pytest
import torch
from tree_oracles import undirected

from relaxit_graph.trees.polytope import spanning_tree, spanning_trees


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
