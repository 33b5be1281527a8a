"""What is not finite, rejected, too large or broken is reported, and stops nothing else."""

import re

import pytest
import torch

import relaxit
from relaxit.autograd import replace_gradient
from relaxit.gradients import GradientProblem, GradientSettings, Point, ProblemCase, measure_problem
from tests.gradients import subjects
from tests.gradients.measuring import measured
from tests.gradients.subjects import PARAMS, Tiny, quadratic


def test_estimates_that_are_not_finite_are_a_failure():
    for report in measured(subjects.Undefined()).values():
        (found,) = report.measurements
        assert report.broken
        assert (found.outcome, found.result) == ("failed", None)
        assert found.reason == "3 of 9 estimates are not finite"  # all values, exactly


def test_a_failure_at_one_temperature_leaves_the_others():
    settings = GradientSettings(draws=200, temperatures=(0.5, 1.0))
    report = measured(subjects.UndefinedCold(), settings=settings)["linear"]
    cold, warm = sorted(report.measurements, key=lambda each: each.temperature)
    assert (cold.outcome, cold.temperature) == ("failed", 0.5)
    assert re.fullmatch(r"\d+ of 200 estimates are not finite", cold.reason)
    assert (warm.outcome, warm.temperature) == ("done", 1.0)


def test_a_square_that_overflows_is_a_failure():
    class Long(subjects.Stretched):
        def given(self, q, hard, generator=None):
            return replace_gradient(hard, 1e200 * super().given(q, hard, generator))

    (found,) = measured(Long())["linear"].measurements
    assert (found.outcome, found.reason) == ("failed", "the estimates are too large to be squared")


def test_rejections_and_failures_stop_nothing():
    named = (subjects.Rejecting(), subjects.Failing(), subjects.Moved(), subjects.Stretched())
    for report in measured(*named).values():
        assert report.broken
        seen = {m.estimator: (m.outcome, m.reason) for m in report.measurements}
        assert report.measurements[0].outcome == "done"
        assert seen["test-rejecting"] == ("unsupported", "it needs what nobody has")
        assert seen["test-failing"] == ("failed", "RuntimeError: two lines")
        assert seen["test-moved"][1] == (
            "given() returns a value other than the hard sample passed to it"
        )


def test_an_estimator_that_cannot_be_built_is_a_failure():
    named = {"needs": relaxit.Estimator}  # abstract: a TypeError, so a failure
    (first, *_) = measure_problem(Tiny(), named)
    assert first.measurements[0].outcome == "failed"


class Bad(GradientProblem):
    name = "bad"

    class Options(relaxit.Options):
        what: str = ""

    def cases(self, around):
        cost = {
            "zero": lambda z: 0 * z.sum((-2, -1)) + 1,
            "shape": lambda z: z.sum(-1),
            "infinite": lambda z: z.sum((-2, -1)) * torch.inf,
            "undefined": quadratic,
        }[self.options.what]
        gradient = PARAMS * torch.nan if self.options.what == "undefined" else None
        relaxation = relaxit.get("categorical", categories=3 if gradient is None else 70)
        yield ProblemCase("", relaxation, (Point(PARAMS, cost, gradient),))


@pytest.mark.parametrize(
    ("what", "words", "failed"),
    [
        ("zero", "the exact gradient is zero", False),
        ("shape", "expected [8]", False),
        ("infinite", "a cost of this problem is not finite", False),
        ("undefined", "the exact gradient is not finite", False),
        ("raises", "KeyError: 'raises'", True),
    ],
)
def test_a_bad_problem_says_so(what, words, failed):
    (report,) = measured(subjects.Score(), problem=Bad(what=what)).values()
    assert words in report.reason
    assert report.failed == failed
    assert not report.measurements


def test_too_many_states_are_rejected():
    (report,) = measured(subjects.Score(), settings=GradientSettings(states=8)).values()
    assert report.reason == (
        "Categorical(categories=3) ** 2 has 9 joint values, more than --states 8; raise --states"
    )
