"""Every check of the kit, on the examples of spanning trees."""

from __future__ import annotations

import pytest
from graph_checks import COMPILES, without

from relaxit.testing import cases, parametrize_with_checks, results
from relaxit_graph.trees.spanning_tree import SpanningTree


@without(parametrize_with_checks(SpanningTree.examples()), *COMPILES)
def test_spanning_tree(check):
    check()


# Compilers take seconds for each halving; test_graph_log_partition.py compiles larger ones.
@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILES)
def test_spanning_tree_in_compilers(name):
    (case,) = cases(SpanningTree(nodes=2))
    assert {r.outcome for r in results(case, only=[name])} == {"pass"}
