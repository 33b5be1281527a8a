"""A stateful estimator that runs without its state says so, unless that is on purpose."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import relaxit
from relaxit import StatefulEstimator, Unsupported
from relaxit.estimators import OMITTED, MissingStateWarning, surrogate_with
from relaxit.gradients import GradientSettings, Surroundings, measure_problem
from relaxit.plugins import default_registry
from relaxit.testing import cases, results
from relaxit.training import build
from relaxit.training.loop import Trainer
from tests.helpers import params_for
from tests.training.small import small_config

BIT = relaxit.get("binary")
STATEFUL = [
    cls()
    for cls in default_registry().items("estimator").values()
    if issubclass(cls, StatefulEstimator)
]
EACH = pytest.mark.parametrize("estimator", STATEFUL, ids=repr)


def distribution():
    return BIT(params_for(BIT, 4, 3).requires_grad_(), 0.7)


def cost(z):
    return (z.sum(-1) - 0.5) ** 2


def reported(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [w for w in caught if w.category is MissingStateWarning]


def test_there_are_three():
    assert {e.name for e in STATEFUL} == {"reinforce", "rebar", "relax"}


@EACH
def test_a_forgotten_state_is_reported_where_it_was_forgotten(estimator):
    (warning,) = reported(lambda: estimator.surrogate(distribution(), cost))
    text = str(warning.message)
    assert repr(estimator.name) in text
    assert "\n" not in text
    assert "build_state" in text
    assert "state=None" in text
    assert warning.filename == __file__


@EACH
def test_nothing_is_reported_with_a_state_or_on_purpose(estimator):
    q, state = distribution(), estimator.build_state(BIT, 3).double()
    silent = [
        lambda: estimator.surrogate(q, cost, state=state),
        lambda: estimator.surrogate(q, cost, state=None),
        lambda: estimator.surrogate(q, cost, None, None),
        lambda: surrogate_with(None, estimator, q, cost),
        torch.no_grad()(lambda: estimator.surrogate(q, cost)),
    ]
    for call in silent:
        assert not reported(call)


@EACH
def test_without_a_state_and_with_none_are_the_same(estimator):
    slopes = []
    for more in ({}, {"state": None}):
        q = distribution()
        torch.manual_seed(1)
        with warnings.catch_warnings(action="ignore"):
            value = estimator.surrogate(q, cost, **more)
        slopes.append(torch.autograd.grad(value.sum(), q.params)[0])
    assert torch.equal(*slopes)


def test_python_shows_it_once_per_line():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            relaxit.estimator("reinforce").surrogate(distribution(), cost)
    assert len(caught) == 1


def test_the_loss_of_earlier_actions_reports_it_too():
    q = distribution()
    reinforce = relaxit.estimator("reinforce")
    assert reported(lambda: reinforce.loss(q, q.sample_hard(), torch.zeros(4)))
    assert not reported(lambda: reinforce.loss(q, q.sample_hard(), torch.zeros(4), None))
    rloo = relaxit.estimator("rloo")
    assert not reported(lambda: rloo.loss(q, q.sample_hard((2,)), torch.zeros(2, 4)))


def test_a_fixed_eta_needs_no_state():
    rebar = relaxit.estimator("rebar", learn=False)
    assert not rebar.state_matters
    assert not reported(lambda: rebar.surrogate(distribution(), cost))
    assert repr(OMITTED) == "OMITTED"


def test_the_kit_and_the_measurements_report_nothing():
    # They run without a state on purpose.
    problem = default_registry().find("problem", "powers")(points=1)
    around = Surroundings(settings=GradientSettings(draws=10, warm_up=2))
    chosen = {estimator.name: estimator for estimator in STATEFUL}
    (check,) = cases(relaxit.estimator("reinforce"), relaxations=[BIT])
    calls = [
        lambda: list(measure_problem(problem, chosen, around)),
        lambda: list(results(check, ["surrogate_is_the_cost", "gradient_reaches_params"])),
    ]
    for call in calls:
        assert not reported(call)


@EACH
def test_the_trainer_reports_nothing(estimator):
    config = small_config({"estimator": {"name": estimator.name}, "latents": 2})
    trainer = Trainer(build(config))
    assert not reported(lambda: trainer.train_step(torch.arange(40)))


@pytest.mark.parametrize("name", ["reinforce", "rebar"])
def test_compiled_code_has_no_graph_break_and_no_warning(name):
    estimator = relaxit.estimator(name)

    def step(params):
        return estimator.surrogate(BIT(params, 0.7), cost)

    torch.compiler.reset()
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    params = params_for(BIT, 4, 3).requires_grad_()
    assert not reported(lambda: compiled(params).sum().backward())
    assert bool(params.grad.any())


@pytest.mark.parametrize("evaluates", [False, True])
def test_a_state_that_a_checkpoint_has_updated_is_an_error(evaluates):
    reinforce, params = relaxit.estimator("reinforce"), params_for(BIT, 4, 3).requires_grad_()
    state = reinforce.build_state(BIT, 3).double().train(not evaluates)

    def costs(theta):
        return reinforce.surrogate(BIT(theta), cost, state=state)

    value = checkpoint(costs, params, use_reentrant=False).sum()
    if evaluates:
        value.backward()
        assert bool(params.grad.any())
    else:
        with pytest.raises(Unsupported, match=r"torch\.utils\.checkpoint.*evaluation mode"):
            value.backward()


@EACH
@pytest.mark.parametrize("wrong", [torch.nn.Linear(1, 1), torch.Generator(), 3])
def test_a_state_of_another_kind_is_named(estimator, wrong):
    kind = estimator.state_type.__name__
    assert isinstance(estimator.build_state(BIT, 3), estimator.state_type)
    with pytest.raises(TypeError, match=f"what build_state returned, a {kind}, got "):
        estimator.surrogate(distribution(), cost, state=wrong)
