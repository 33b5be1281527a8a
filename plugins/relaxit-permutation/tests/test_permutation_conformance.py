"""Every law of the contract, on the examples of both structures."""

from __future__ import annotations

import pytest

from relaxit.testing import cases, parametrize_with_checks, results
from relaxit_permutation.matching import Matching
from relaxit_permutation.permutation import Permutation

COMPILES = "compiled_equals_eager"
FIRST, SECOND = zip(Permutation.examples(), Matching.examples(), strict=True)
# Thousands of draws each, whose assignments are found one by one.
MANY_DRAWS = ("draw_and_rsample_agree", "noise_is_independent", "rows_follow_their_own_mass")


def without(decorator, *dropped):
    """The decorator of the kit, less the checks whose names end a test's."""
    name, params = decorator.args
    ends = tuple(f"-{each}" for each in dropped)
    kept = [param for param in params if not str(param.id).endswith(ends)]
    assert len(kept) < len(params), "nothing is dropped"
    return pytest.mark.parametrize(name, kept)


@pytest.mark.slow
@pytest.mark.parametrize(
    "structure", [Permutation(n=3), Matching(rows=2, columns=3)], ids=lambda s: s.name
)
def test_compiles(structure):
    # Seconds each; what is compiled is the same for all sizes.
    (case,) = cases(structure)
    (result,) = results(case, only=[COMPILES])
    assert result.outcome == "pass", result.reason


@without(parametrize_with_checks(FIRST), COMPILES)
def test_structures(check):
    check()


@without(parametrize_with_checks(SECOND), COMPILES, *MANY_DRAWS)
def test_other_sizes(check):
    check()
