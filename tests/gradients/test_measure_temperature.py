"""An estimator is measured at each temperature if it uses one, and only once otherwise."""

import torch

import relaxit
from relaxit.gradients import GradientProblem, GradientSettings, Point, ProblemCase
from tests.gradients import subjects
from tests.gradients.measuring import measured
from tests.gradients.subjects import PARAMS, quadratic


def test_a_temperature_without_effect_is_not_repeated():
    settings = GradientSettings(draws=50, temperatures=(0.5, 1.0))
    named = [subjects.Score(), *map(relaxit.estimator, ("straight-through", "pathwise"))]
    report = measured(*named, settings=settings)["quadratic"]
    seen = {}
    for each in report.measurements:
        seen.setdefault(each.label, []).append(each.temperature)
    assert seen.pop("test-score") == [None]
    assert {label: sorted(taus) for label, taus in seen.items()} == {
        "straight-through": [0.5, 1.0],
        "pathwise": [0.5, 1.0],
    }


def test_a_saturated_estimate_uses_its_temperature():
    # At 1e-4 and 2e-4 the softmax is a vertex: its slope is 0 at both.
    settings = GradientSettings(draws=20, temperatures=(1e-4, 1.0))
    report = measured(subjects.Drawn(), settings=settings)["linear"]
    assert sorted(each.temperature for each in report.measurements) == [1e-4, 1.0]


def test_a_temperature_is_looked_for_at_every_point():
    class Two(GradientProblem):
        name = "two"

        def cases(self, around):
            far = torch.tensor([[4e3, 0.0, -4e3]] * 2, dtype=torch.float64)  # saturated
            gradient = torch.ones_like(far)  # of no matter here
            points = (Point(far, quadratic, gradient), Point(PARAMS, quadratic, gradient))
            yield ProblemCase("", relaxit.get("categorical", categories=3), points)

    settings = GradientSettings(draws=20, states=1, temperatures=(0.5, 1.0))
    report = measured(subjects.Drawn(), problem=Two(), settings=settings)[""]
    assert sorted(each.temperature for each in report.measurements) == [0.5, 1.0]
