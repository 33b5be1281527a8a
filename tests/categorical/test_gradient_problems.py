"""The problems ``powers`` and ``polynomial-cost``: closed forms against enumeration."""

import pytest
import torch

import relaxit
from relaxit.errors import ConfigurationError, Unsupported
from relaxit.gradients import GradientSettings, Surroundings, measure_problem
from relaxit.gradients.enumeration import enumerate_joint
from tests.gradients.measuring import problem
from tests.gradients.subjects import Score
from tests.helpers import seed
from tests.training.signs import Sign


@pytest.mark.parametrize(
    "relaxation",
    [None, relaxit.get("categorical", categories=3)],
    ids=["own", "categories"],
)
@pytest.mark.parametrize("target", [0.45, 1.3, -0.2])
def test_the_closed_form_of_the_polynomial(relaxation, target):
    around = Surroundings(relaxation=relaxation)
    cases = list(problem("polynomial-cost", bits=3, target=target).cases(around))
    assert [case.label for case in cases] == ["p = 1.5", "p = 2", "p = 3"]
    for case in cases:
        (point,) = case.points
        joint = enumerate_joint(case.relaxation, point.params, point.cost)
        assert torch.allclose(joint.gradient, point.gradient, rtol=1e-10)
        assert case.variables == 3


def test_the_polynomial_needs_no_enumeration():
    reports = list(measure_problem(problem("polynomial-cost"), {"score": Score()},
                                   Surroundings(settings=GradientSettings(draws=2))))  # fmt: skip
    assert [(r.variables, r.states, r.reason) for r in reports] == [(128, None, "")] * 3


def test_the_polynomial_rejects_other_values():
    with pytest.raises(Unsupported, match="zeros and ones"):
        list(problem("polynomial-cost").cases(Surroundings(relaxation=Sign())))


def test_powers_by_hand():
    cases = list(problem("powers", points=2).cases(Surroundings()))
    assert [case.variables for case in cases] == [1, 1, 1, 2, 2, 2]
    for first in (0, 3):
        linear, quadratic, cubic = (case.points for case in cases[first : first + 3])
        z = torch.randn(4, cases[first].variables, 5, generator=seed(1), dtype=torch.float64)
        for one, two, three in zip(linear, quadratic, cubic, strict=True):
            assert torch.allclose(one.cost(0 * z), torch.tensor(0.25, dtype=z.dtype))
            assert torch.allclose(one.cost(2 * z) - 0.25, 2 * (one.cost(z) - 0.25))
            assert torch.allclose(two.cost(z), one.cost(z) ** 2)
            assert torch.allclose(three.cost(z), one.cost(z) ** 3)
    assert not torch.equal(cases[0].points[0].params, cases[0].points[1].params)


def test_powers_reject_too_many_values_at_once():
    around = Surroundings(settings=GradientSettings(states=24))
    cases = problem("powers").cases(around)
    assert [next(cases).variables for _ in range(3)] == [1, 1, 1]
    with pytest.raises(ConfigurationError, match="25 joint values"):
        next(cases)
