"""Every check of the kit, on the examples of spanning trees."""

from __future__ import annotations

from relaxit.testing import cases, checks, parametrize_with_checks, results
from relaxit_graph.trees.spanning_tree import SpanningTree

COMPILED = ("compiled_equals_eager", "traced_equals_eager", "exported_equals_eager")
FINE = ("pass", "not applicable")


@parametrize_with_checks([SpanningTree(nodes=4)])
def test_four_nodes(check):
    check()


# An odd number of nodes is halved differently; test_graph_log_partition.py compiles both.
def test_three_nodes():
    (case,) = cases(SpanningTree(nodes=3))
    names = [check.name for check in checks("relaxation") if check.name not in COMPILED]
    failed = {r.check: r.reason for r in results(case, only=names) if r.outcome not in FINE}
    assert not failed, failed
