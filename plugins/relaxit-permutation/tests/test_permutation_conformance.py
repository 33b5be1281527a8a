"""Every law of the contract, on the examples of both structures."""

from __future__ import annotations

import pytest

from relaxit.testing import parametrize_with_checks
from relaxit_permutation.gumbel_sinkhorn.matching import Matching
from relaxit_permutation.gumbel_sinkhorn.permutation import Permutation

MANY_DRAWS = (
    "compiled_equals_eager",
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
