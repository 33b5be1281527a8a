"""The built-in problems: closed forms against enumeration, and the decoder's cost by hand."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

import relaxit
from relaxit.errors import ConfigurationError, Unsupported
from relaxit.gradients import GradientSettings, Surroundings, measure_problem
from relaxit.gradients.enumeration import enumerate_joint
from relaxit.gradients.figure import draw_bias_and_variance
from relaxit.plugins.registry import default_registry
from tests.gradients.subjects import Score, Tiny
from tests.helpers import seed
from tests.training.signs import Sign


def problem(name, **options):
    return default_registry().find("problem", name)(**options)


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


def test_the_polynomial_refuses_other_values():
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


def test_powers_refuse_too_many_values_at_once():
    around = Surroundings(settings=GradientSettings(states=24))
    cases = problem("powers").cases(around)
    assert [next(cases).variables for _ in range(3)] == [1, 1, 1]
    with pytest.raises(ConfigurationError, match="25 joint values"):
        next(cases)


def test_the_decoder_is_trained_and_its_cost_is_the_cross_entropy():
    said = []
    around = Surroundings(progress=said.append)
    before = torch.get_rng_state()
    made = problem("vae-cost", steps=5, images=2, latents=1)
    (case,) = made.cases(around)
    assert torch.equal(before, torch.get_rng_state())
    assert case.label == "digits after 5 steps of st-gumbel"
    assert len(case.points) == 2
    for point in case.points:
        assert point.params.shape == (1, *case.relaxation.param_shape)
        assert point.params.dtype == torch.float64
        z = case.relaxation.enumerate_vertices().double().unsqueeze(1)
        logits, x = point.cost.model.decode(z), point.cost.image
        wanted = binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
        assert torch.allclose(point.cost(z), wanted.sum(-1))
    assert said == ["vae-cost: digits, 5 steps of training"]
    (untrained,) = problem("vae-cost", steps=0, images=2, latents=1).cases(around)
    assert not torch.allclose(untrained.points[0].params, case.points[0].params)
    (again,) = made.cases(around)
    assert torch.equal(again.points[0].params, case.points[0].params)


def test_the_decoder_is_not_trained_in_vain(monkeypatch):
    from relaxit.tasks.vae import gradient_problem

    monkeypatch.setattr(gradient_problem, "build", lambda *_: pytest.fail("it was built"))
    with pytest.raises(ConfigurationError, match="more than --states 4095"):
        list(problem("vae-cost").cases(Surroundings(settings=GradientSettings(states=4095))))


def test_another_relaxation_takes_its_place():
    around = Surroundings(relaxation=relaxit.get("binary"))
    (case,) = problem("vae-cost", steps=0, images=1, latents=3).cases(around)
    assert case.points[0].params.shape == (3,)
    assert case.points[0].cost(torch.zeros(7, 3, dtype=torch.float64)).shape == (7,)


@pytest.mark.parametrize("temperatures", [(1.0,), (0.5, 2.0)])
def test_the_image(tmp_path, temperatures):
    names = ("straight-through", "st-gumbel", "pathwise")
    estimators = {name: relaxit.estimator(name) for name in names}
    settings = GradientSettings(draws=20, temperatures=temperatures)
    reports = list(measure_problem(Tiny(), estimators, Surroundings(settings=settings)))
    path = tmp_path / "found.png"
    draw_bias_and_variance(reports, path)
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert path.stat().st_size > 10_000


@pytest.mark.parametrize(("ending", "first"), [(".pdf", b"%PDF"), (".SVG", b"<?xml")])
def test_the_image_is_of_the_kind_of_its_ending(tmp_path, ending, first):
    path = tmp_path / f"found{ending}"
    draw_bias_and_variance([], path)
    assert path.read_bytes().startswith(first)
