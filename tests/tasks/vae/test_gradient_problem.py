"""The problem ``vae-cost``: its decoder is trained, and its cost is that of the decoder."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

import relaxit
from relaxit.errors import ConfigurationError
from relaxit.gradients import GradientSettings, Surroundings
from tests.gradients.measuring import problem


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
