"""Interfaces of the kit in Python: cases, checks, results, and functions that raise."""

from __future__ import annotations

import pytest

import relaxit
from relaxit.errors import ConfigurationError
from relaxit.testing import (
    ConformanceError,
    cases,
    check_estimator,
    check_relaxation,
    checks,
    results,
)
from tests.testing.broken.estimators import bias
from tests.testing.broken.relaxations import discrete, values
from tests.testing.sound import choices, estimators, orders


def test_estimators_are_checked_on_bits_categories_and_something_else():
    for estimator, relaxations in {"exact": 3, "reinmax": 2, "disarm": 1}.items():
        assert len(cases(relaxit.estimator(estimator))) == relaxations


def test_a_sound_relaxation_returns_its_results():
    found = check_relaxation(choices.Choice())
    names = [check.name for check in checks("relaxation")]
    assert [result.check for result in found] == names
    assert {result.outcome for result in found} == {"pass", "not applicable"}


def test_a_class_is_checked_on_its_examples():
    found = check_relaxation(choices.Choice)
    assert {result.subject for result in found} == {"Choice(size=2)", "Choice(size=3)"}


def test_a_broken_relaxation_raises_and_is_named():
    with pytest.raises(ConformanceError) as caught:
        check_relaxation(discrete.WrongMode())
    for part in ("WrongMode(size=3)", "mode_by_enumeration", "1 check failed"):
        assert part in str(caught.value)


def test_a_broken_estimator_raises():
    with pytest.raises(ConformanceError, match="unbiased_as_claimed"):
        check_estimator(bias.WrongSign(), [choices.Choice()])


def test_what_builds_on_a_failure_is_not_run():
    (case,) = cases(values.NearlyHard())
    found = {result.check: result for result in results(case)}
    assert found["draw_shares_its_noise"].outcome == "not run"
    assert found["draw_shares_its_noise"].reason == "hard_in_vertices fails"


def test_what_does_not_apply_runs_nothing_before_it():
    (case,) = cases(relaxit.get("categorical", categories=5))  # graphs are counted on the first
    (result,) = results(case, ["few_graphs_for_any_temperature"])
    assert result.outcome == "not applicable"
    assert not case.failed  # nothing that it depends on was run, which would compile


def test_an_estimator_that_rejects_every_relaxation_is_an_error():
    with pytest.raises(ConfigurationError, match="supports none of the relaxations"):
        check_estimator(estimators.Through(), [orders.OrderWithoutDistribution()])
