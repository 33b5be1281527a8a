"""A step that is tried when a run is built rejects what the run would reject."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from relaxit.errors import ConfigurationError, ShapeError
from relaxit.training.assembly import assemble
from relaxit.training.building import build, build_all, build_members
from relaxit.training.callbacks import SilentCallback
from relaxit.training.stopping import StopRequest
from relaxit.training.task import Terms
from relaxit.training.trainer import Trainer
from tests.training.chooser import TASK, Chooser
from tests.training.small import small_config
from tests.training.two_choices import TWO

LEARNED = {"temperature": {"schedule": "learned"}}


pytestmark = pytest.mark.usefixtures("toys_registered")


@pytest.mark.parametrize("layer", [{}, TASK], ids=["vae", "chooser"])
@pytest.mark.parametrize(
    ("estimator", "learns"),
    [("pathwise", True), ("st-gumbel", True), ("rloo", False), ("reinforce", False)],
)
def test_a_learned_temperature_without_gradient_is_rejected(layer, estimator, learns):
    chosen = small_config(layer, LEARNED, {"estimator": {"name": estimator}})
    if learns:
        build(chosen)
        return
    said = rf"^temperature\.schedule = 'learned': estimator '{estimator}' gives"
    with pytest.raises(ConfigurationError, match=said) as caught:
        build(chosen)
    assert "\n" not in str(caught.value)
    build(small_config(layer, {"estimator": {"name": estimator}}))  # with another schedule


@pytest.mark.parametrize("name", ["", "group"])
def test_the_variable_whose_temperature_has_no_gradient_is_named(name):
    settings = {**LEARNED, "estimator": {"name": "rloo"}}
    layer = {"variables": {name: settings}} if name else settings
    key = f"variables.{name}.temperature" if name else "temperature"
    with pytest.raises(ConfigurationError, match=rf"^{key}\.schedule = 'learned': .* 'rloo'"):
        build(small_config(TWO, layer))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda terms: Terms(terms.loss.mean(), terms.metrics),
        lambda terms: Terms(terms.loss[:, None], terms.metrics),
        lambda terms: Terms(terms.loss, {"kept": terms.loss, "wrong": terms.loss}),
        lambda terms: Terms(terms.loss, {"wrong": terms.loss[1:], "kept": terms.loss}),
        lambda terms: Terms(terms.loss),
    ],
    ids=["0-dim", "2-dim", "order", "shape", "missing"],
)
def test_terms_of_another_shape_are_rejected_before_the_run(monkeypatch, wrong):
    terms = Chooser.terms
    monkeypatch.setattr(Chooser, "terms", lambda *args: wrong(terms(*args)))
    with pytest.raises(ShapeError, match=r"'test-chooser': expected a loss \[E\] and metrics"):
        build(small_config(TASK))


def test_an_error_of_the_task_is_passed_on(monkeypatch):
    def broken(*args):
        raise ZeroDivisionError("of the task")

    monkeypatch.setattr(Chooser, "terms", broken)
    with pytest.raises(ZeroDivisionError, match="of the task"):
        build(small_config(TASK))


@pytest.mark.parametrize(
    "layer",
    [
        {**LEARNED, "estimator": {"name": "st-gumbel"}, "task": {"options": {"kl_warmup": 0.5}}},
        {"estimator": {"name": "relax"}},
        {"data": {"options": {"binarise": "dynamic"}}},
        {**TASK, "estimator": {"name": "reinforce"}},
        TWO,
    ],
    ids=["learned", "state", "dynamic", "chooser", "two"],
)
def test_the_run_is_bitwise_that_without_a_trial(layer):
    ends = []
    before = torch.get_rng_state()
    for make in (assemble, build_all):
        (e,) = make([small_config(layer)])
        assert torch.equal(torch.get_rng_state(), before)
        assert all(p.grad is None for part in e.parts.values() for p in part.parameters())
        trainer = Trainer(e)
        trainer.run_epoch(SilentCallback(), StopRequest())
        ends.append([*state_of(trainer), trainer.generator.get_state()])
    for plain, tried in zip(*ends, strict=True):
        assert torch.equal(plain, tried)


def state_of(trainer):
    parts = trainer.experiment.parts.values()
    return [*(t.clone() for part in parts for t in part.state_dict().values()), trainer.totals]


def test_members_differ_in_their_seed_and_share_the_data():
    first, second = build_members(small_config(), [3, 5])
    assert (
        [e.config.seed for e in (first, second)] == [first.setup.seed, second.setup.seed] == [3, 5]
    )
    assert first.data is second.data
    mine, theirs = (nn.utils.parameters_to_vector(e.model.parameters()) for e in (first, second))
    assert float((mine - theirs).detach().abs().max()) > 0.1
