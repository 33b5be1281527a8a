"""Every check of the kit, on the examples of spanning trees."""

from __future__ import annotations

from relaxit.testing import parametrize_with_checks
from relaxit_graph.trees.spanning_tree import SpanningTree


@parametrize_with_checks([*SpanningTree.examples(), SpanningTree(nodes=5), SpanningTree(nodes=1)])
def test_spanning_tree(check):
    check()
