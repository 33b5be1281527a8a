"""Every check of the kit, on the examples of all structures."""

from __future__ import annotations

import pytest

from relaxit.testing import cases, parametrize_with_checks, results
from relaxit_permutation.gumbel_sinkhorn.matching import Matching
from relaxit_permutation.gumbel_sinkhorn.partial_matching import PartialMatching
from relaxit_permutation.gumbel_sinkhorn.permutation import Permutation
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce

COMPILES = "compiled_equals_eager"
MANY_DRAWS = (
    COMPILES,
    "draw_and_rsample_agree",
    "noise_is_independent",
    "rows_follow_their_own_mass",
)


def without(decorator, *dropped):
    """The decorator of the kit, less the checks whose names end a test's."""
    name, params = decorator.args
    ends = tuple(f"-{each}" for each in dropped)
    kept = [param for param in params if not str(param.id).endswith(ends)]
    assert len(kept) < len(params), "nothing is dropped"
    return pytest.mark.parametrize(name, kept)


@parametrize_with_checks([Permutation(n=3)])
def test_permutation(check):
    check()


# Thousands of draws each, whose assignments are found one by one; once is enough.
@without(parametrize_with_checks([Matching(rows=2, columns=3)]), *MANY_DRAWS)
def test_matching(check):
    check()


@without(parametrize_with_checks([PartialMatching(rows=3, columns=2)]), *MANY_DRAWS)
def test_partial_matching(check):
    check()


@without(parametrize_with_checks(PermutationPlackettLuce.examples()), COMPILES)
def test_plackett_luce(check):
    check()


@pytest.mark.slow
def test_plackett_luce_compiles():
    for structure in PermutationPlackettLuce.examples():
        (case,) = cases(structure)
        (result,) = results(case, only=[COMPILES])
        assert result.outcome == "pass", result.reason
