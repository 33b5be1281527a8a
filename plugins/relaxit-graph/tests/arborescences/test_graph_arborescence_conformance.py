"""Every check of the kit, on the examples of directed trees."""

from __future__ import annotations

import pytest
from graph_checks import COMPILES, without

from relaxit.testing import cases, parametrize_with_checks, results
from relaxit_graph.arborescences.arborescence import Arborescence


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
