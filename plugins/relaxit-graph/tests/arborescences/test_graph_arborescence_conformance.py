"""Every check of the kit, on the examples of directed trees."""

from __future__ import annotations

import pytest

from relaxit.testing import cases, parametrize_with_checks, results
from relaxit_graph.arborescences.arborescence import Arborescence

COMPILES = (
    "compiled_equals_eager",
    "exported_equals_eager",
    "few_graphs_for_any_temperature",
    "traced_equals_eager",
)
"""Checks that take most of the time, in compilers."""


def without(decorator, *dropped):
    """The decorator of the kit, less the checks whose names end a test's."""
    name, params = decorator.args
    ends = tuple(f"-{each}" for each in dropped)
    kept = [param for param in params if not str(param.id).endswith(ends)]
    assert len(kept) < len(params), "nothing is dropped"
    return pytest.mark.parametrize(name, kept)


@without(parametrize_with_checks(Arborescence.examples()), *COMPILES)
def test_arborescence(check):
    check()


# Compilers take seconds for each round; test_graph_edmonds.py compiles larger ones.
@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILES)
@pytest.mark.parametrize("roots", ["single", "multiple"])
def test_arborescence_in_compilers(roots, name):
    (case,) = cases(Arborescence(nodes=2, roots=roots))
    assert {r.outcome for r in results(case, only=[name])} == {"pass"}
