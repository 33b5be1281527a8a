"""Every check of the kit, on the examples of both structures and on the two estimators."""

from __future__ import annotations

import pytest

from relaxit.testing import cases, parametrize_with_checks, results
from relaxit_subset.conditional_poisson.subset import Subset
from relaxit_subset.estimators.imle import Imle
from relaxit_subset.estimators.simple import Simple
from relaxit_subset.plackett_luce.subset_plackett_luce import SubsetPlackettLuce

STRUCTURES = [*Subset.examples(), *SubsetPlackettLuce.examples()]
COMPILES = "compiled_equals_eager"
BATCHED = "unbiased_in_small_batches"
# They ask for the marginals of tens of thousands of rows, integrals with hundreds of points each.
MANY_ROWS = (
    BATCHED,
    "unbiased_as_claimed",
    "values_follow_the_discrete_distribution",
    "rows_have_noise_of_their_own",
)


def without(decorator, *dropped):
    """The decorator of the kit, less the checks whose names end a test's."""
    name, params = decorator.args
    ends = tuple(f"-{each}" for each in dropped)
    kept = [param for param in params if not str(param.id).endswith(ends)]
    assert len(kept) < len(params), "nothing is dropped"
    return pytest.mark.parametrize(name, kept)


@pytest.mark.slow
def test_subset_compiles():
    # Seconds each; what is compiled is the same for all sizes.
    (case,) = cases(Subset(n=5, k=2))
    (result,) = results(case, only=[COMPILES])
    assert result.outcome == "pass", result.reason


@without(parametrize_with_checks(STRUCTURES), COMPILES)
def test_structures(check):
    check()


@without(parametrize_with_checks([Simple()], relaxations=Subset.examples()), BATCHED)
def test_simple(check):
    check()


@without(parametrize_with_checks([Simple()], relaxations=STRUCTURES[2:]), *MANY_ROWS)
def test_simple_on_plackett_luce(check):
    check()


@parametrize_with_checks([Imle()], relaxations=STRUCTURES)
def test_imle(check):
    check()
