"""Every check of the kit, on the examples of all structures of sequences."""

from __future__ import annotations

import pytest
from graph_checks import COMPILES

from relaxit.testing import parametrize_with_checks
from relaxit_graph.programs.alignment import Alignment
from relaxit_graph.programs.chain import Chain
from relaxit_graph.programs.gumbel_crf import GumbelCrf
from relaxit_graph.programs.projective_tree import ProjectiveTree
from relaxit_graph.programs.segmentation import Segmentation

CLASSES = (Alignment, Chain, GumbelCrf, ProjectiveTree, Segmentation)
FIRST = [cls.examples()[0] for cls in CLASSES]
SECOND = [cls.examples()[1] for cls in CLASSES]
# Compilers take seconds for each step of a recursion.
SMALL = [
    Alignment(rows=2, columns=2),
    Chain(length=3, states=2),
    GumbelCrf(length=3, states=2),
    ProjectiveTree(nodes=2),
    Segmentation(length=3, labels=1, longest=2),
]

RECORDED = tuple(f"-{name}" for name in COMPILES)


def checks_that(decorator, keep):
    """The decorator of the kit, with those tests whose name is kept."""
    name, params = decorator.args
    kept = [param for param in params if keep(str(param.id))]
    assert 0 < len(kept) < len(params)
    return pytest.mark.parametrize(name, kept)


@checks_that(parametrize_with_checks(FIRST), lambda name: not name.endswith(RECORDED))
def test_structure(check):
    check()


@pytest.mark.slow
@checks_that(parametrize_with_checks(SMALL), lambda name: name.endswith(RECORDED))
def test_structure_recorded(check):
    check()


@checks_that(
    parametrize_with_checks(SECOND),
    lambda name: not name.endswith((*RECORDED, "-any_temperature_is_taken")),
)
def test_another_of_the_structure(check):
    check()
