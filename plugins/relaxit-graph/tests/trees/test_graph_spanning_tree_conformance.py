"""Every check of the kit, on the examples of spanning trees."""

from __future__ import annotations

import pytest

from relaxit.testing import cases, parametrize_with_checks, results
from relaxit_graph.trees.spanning_tree import SpanningTree

COMPILES = (
    "compiled_equals_eager",
    "exported_equals_eager",
    "few_graphs_for_any_temperature",
    "traced_equals_eager",
)


def without(decorator, *dropped):
    """The decorator of the kit, less the checks whose names end a test's."""
    name, params = decorator.args
    ends = tuple(f"-{each}" for each in dropped)
    kept = [param for param in params if not str(param.id).endswith(ends)]
    assert len(kept) < len(params), "nothing is dropped"
    return pytest.mark.parametrize(name, kept)


@without(parametrize_with_checks(SpanningTree.examples()), *COMPILES)
def test_spanning_tree(check):
    check()


# Compilers take seconds for each halving; test_graph_log_partition.py compiles larger ones.
@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILES)
def test_spanning_tree_in_compilers(name):
    (case,) = cases(SpanningTree(nodes=2))
    assert {r.outcome for r in results(case, only=[name])} == {"pass"}
