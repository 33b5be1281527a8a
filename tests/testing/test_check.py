"""How one check runs: expected failures, exceptions of the subject, global state."""

from __future__ import annotations

import pytest
import torch

from relaxit.errors import ConfigurationError
from relaxit.testing import (
    ConformanceError,
    cases,
    check_estimator,
    check_relaxation,
    results,
)
from tests.testing.expected_failures import Declared, FailsOnThree, Misspelt, Stale
from tests.testing.sound import choices


def test_an_expected_failure_is_told_apart():
    (result,) = [r for r in check_relaxation(Declared()) if r.outcome == "expected failure"]
    assert (result.check, result.reason) == (
        "kl_to_uniform_by_enumeration",
        "copied from elsewhere",
    )


def test_an_expected_failure_that_passes_is_a_failure():
    said = r"low_temperature_gives_hard_values: passes, though.*was broken once"
    with pytest.raises(ConformanceError, match=said):
        check_relaxation(Stale())


def test_an_expected_failure_on_one_of_several_is_enough():
    two, three = choices.Choice(size=2), choices.Choice(size=3)
    found = [
        result.outcome
        for case in cases(FailsOnThree(), relaxations=[two, three])
        for result in results(case, ["gradient_reaches_params"])
    ]
    assert found == ["pass", "expected failure"]
    with pytest.raises(ConformanceError, match="though declared"):
        check_estimator(FailsOnThree(), [two])


def test_an_expected_failure_of_an_unknown_check_is_rejected():
    with pytest.raises(ConfigurationError, match="low_temperature_gives_hard_value"):
        check_relaxation(Misspelt())


class Leaves(choices.Choice):
    """Ends the process where it is asked for a sample."""

    def relax(self, scores, temperature):
        raise SystemExit(3)


def test_the_subject_may_raise_anything():
    (case,) = cases(Leaves())
    failed = [r for r in results(case) if r.outcome == "fail"]
    assert failed[0].reason == "SystemExit: 3"


class LeavesAtExamples(choices.Choice):
    """Ends the program where it is asked for its examples."""

    @classmethod
    def examples(cls):
        raise SystemExit(3)


def test_a_subject_that_ends_the_program_fails_and_the_kit_goes_on():
    (case,) = cases(LeavesAtExamples(size=3))
    found = {result.check: result for result in results(case)}
    assert found["objects_are_independent"].reason == "SystemExit: 3"
    assert found["few_graphs_for_any_temperature"].outcome == "not run"


def test_global_state_is_left_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    check_relaxation(choices.Choice())
    assert torch.equal(before, torch.get_rng_state())
