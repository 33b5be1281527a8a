"""Score-function estimators: unbiasedness, shapes of costs, and errors."""

from __future__ import annotations

import itertools

import pytest
import torch

import relaxit
from relaxit.errors import ShapeError, Unsupported
from relaxit.estimators import surrogate_with
from relaxit.estimators.common.running_averages import RunningMoments
from relaxit.estimators.common.score_function import add_gradient
from relaxit.estimators.rebar import Rebar
from relaxit.estimators.reinforce import Reinforce
from relaxit.estimators.relax import RelaxEstimator
from relaxit.estimators.rloo import Rloo
from relaxit.testing.toys import SamplesOnly, ThreeNumbers
from tests.estimators.common.score_estimators import (
    BINARY,
    BITS,
    CATEGORICAL,
    EACH,
    GENERAL,
    errors_off,
    estimates,
    exact_gradient,
    fixed_draws,
)
from tests.estimators.costs import cubic
from tests.helpers import params_for, seed


@EACH
def test_unbiased_within_four_errors(estimator, relaxation):
    # Two variables under one cost. 4 standard errors: a right estimator of 8 numbers and the value
    # fails at 6e-4 of seeds.
    params, cost = params_for(relaxation, 2, dtype=torch.float32), cubic(relaxation, 2)
    exact, expected = exact_gradient(relaxation, params, cost)
    found, value = estimates(estimator, relaxation, params, cost, 100_000)
    assert errors_off(found, exact) < 4
    assert errors_off(value, expected) < 4
    assert errors_off(found * 1.05, exact) > 4  # 5 % would be seen


@pytest.mark.parametrize("relaxation", [CATEGORICAL, BINARY], ids=repr)
def test_reinforce_is_exact_over_all_draws_whatever_the_baseline(relaxation, monkeypatch):
    params, cost = params_for(relaxation, 2), cubic(relaxation, 2)
    exact, _ = exact_gradient(relaxation, params, cost)
    vertices, total = relaxation.enumerate_vertices().double(), torch.zeros_like(params)
    state = RunningMoments(0.9).double().eval()
    state.update(torch.tensor([5.0, -1.0, 0.5]).double())
    for pair in itertools.product(range(len(vertices)), repeat=2):
        hard = vertices[list(pair)]
        fixed_draws(monkeypatch, hard)
        leaf = params.clone().requires_grad_()
        value = Reinforce().surrogate(relaxation(leaf), cost, None, state)
        assert torch.equal(value, cost(hard))
        mass = relaxation.discrete(params).log_prob(hard).sum().exp()
        total += mass * torch.autograd.grad(value, leaf)[0]
    torch.testing.assert_close(total, exact, rtol=0, atol=1e-12)


def test_rloo_is_exact_over_all_pairs_of_draws(monkeypatch):
    params, cost = params_for(CATEGORICAL, 1), cubic(CATEGORICAL, 1)
    exact, expected = exact_gradient(CATEGORICAL, params, cost)
    vertices, total, mean = torch.eye(4).double(), torch.zeros_like(params), 0.0
    mass = params[0].softmax(-1)
    for i, j in itertools.product(range(4), repeat=2):
        fixed_draws(monkeypatch, vertices[[i, j]].unsqueeze(1))
        leaf = params.clone().requires_grad_()
        value = Rloo(samples=2).surrogate(CATEGORICAL(leaf), cost)
        mean += mass[i] * mass[j] * value.detach()
        total += mass[i] * mass[j] * torch.autograd.grad(value, leaf)[0]
    torch.testing.assert_close(total, exact, rtol=0, atol=1e-12)
    torch.testing.assert_close(mean, expected, rtol=0, atol=1e-12)


@EACH
def test_one_cost_each_and_one_for_all(estimator, relaxation):
    # A cost that is a sum over variables has the gradient of the terms, in expectation; here the
    # shapes, and that the terms of other rows leave no trace.
    params = params_for(relaxation, 3, 2).requires_grad_()
    per_value, joint = cubic(relaxation, 1), cubic(relaxation, 2)
    each = surrogate_with(
        None, estimator, relaxation(params), lambda z: per_value(z.unsqueeze(2)), seed(1)
    )
    assert each.shape == (3, 2)
    (slope,) = torch.autograd.grad(each[0, 1], params)
    assert bool(slope[0, 1].any())
    assert float(slope.abs().sum()) == float(slope[0, 1].abs().sum())
    one = surrogate_with(None, estimator, relaxation(params), joint, seed(1))
    assert one.shape == (3,)
    (slope,) = torch.autograd.grad(one[0], params)
    assert bool(slope[0].any())
    assert not bool(slope[1:].any())


@EACH
def test_costs_that_do_not_begin_the_batch_are_rejected(estimator, relaxation):
    joint = cubic(relaxation, 2)
    q = relaxation(params_for(relaxation, 3, 2).requires_grad_())
    with pytest.raises(ShapeError, match=r"\[3, 1\] does not begin the batch shape \[3, 2\]"):
        surrogate_with(None, estimator, q, lambda z: joint(z).unsqueeze(-1))


def test_a_gradient_is_added_to_a_value_that_stays():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    extra = 3 * x + torch.tensor([torch.inf, 0.0])
    y = add_gradient(x.square(), extra)
    assert y.tolist() == [1, 4]
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [5, 7]
    y = add_gradient(torch.ones(2, dtype=torch.bfloat16), x)
    assert torch.autograd.grad(y.sum(), x)[0].dtype == torch.float32


@pytest.mark.parametrize(
    ("estimator", "relaxation", "message"),
    [
        *((e, SamplesOnly(), "needs the discrete distribution") for e in GENERAL),
        *((e, SamplesOnly(), "logits of independent bits") for e in BITS),
        *((e, CATEGORICAL, "logits of independent bits") for e in BITS),
        *((e, ThreeNumbers(), "capability conditional") for e in (Rebar(), RelaxEstimator())),
    ],
    ids=repr,
)
def test_errors_name_what_is_missing(estimator, relaxation, message):
    q = relaxation(torch.zeros(2, *relaxation.param_shape))
    for call in (
        lambda: estimator.check(relaxation),
        lambda: surrogate_with(None, estimator, q, torch.sum),
    ):
        with pytest.raises(Unsupported, match=message) as caught:
            call()
        text = str(caught.value)
        assert estimator.name in text
        assert relaxation.name in text
        assert "\n" not in text


@pytest.mark.parametrize(
    ("name", "options"),
    [("reinforce", {"decay": 1.0}), ("rloo", {"samples": 1}), ("rebar", {"eta": 0.0}),
     ("relax", {"hidden": 0})],
)  # fmt: skip
def test_options_out_of_range(name, options):
    with pytest.raises(relaxit.ConfigurationError, match=next(iter(options))):
        relaxit.estimator(name, **options)
