"""Costs that work in place, count or are maximised, and costs in float16."""

from __future__ import annotations

import pytest
import torch

import relaxit
from relaxit import StatefulEstimator
from relaxit.errors import Unsupported
from relaxit.estimators import surrogate_with
from tests.helpers import own_classes, seed

BIT = relaxit.get("binary")
PARAMS = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
WEIGHTS = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
EACH = pytest.mark.parametrize(
    "estimator", [cls() for cls in own_classes("estimator")], ids=lambda e: e.name
)


def estimate(estimator, cost, rows=40, params=PARAMS):
    leaf = params.expand(rows, -1).clone().requires_grad_()
    value = surrogate_with(None, estimator, BIT(leaf, 0.7), cost, seed(3))
    return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


@EACH
def test_a_cost_may_work_in_place(estimator):
    try:
        estimator.check(BIT)
    except Unsupported as error:
        pytest.skip(str(error))

    def apart(z):
        return ((z * 2 - 1) @ WEIGHTS) ** 2

    def in_place(z):
        return (z.mul_(2).sub_(1) @ WEIGHTS) ** 2

    for got, want in zip(estimate(estimator, in_place), estimate(estimator, apart), strict=True):
        torch.testing.assert_close(got, want)


@EACH
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_a_count_has_a_gradient_or_is_rejected(estimator, dtype):
    try:
        estimator.check(BIT)
    except Unsupported as error:
        pytest.skip(str(error))

    def numbers(z):
        return (z.sum(-1) > 1.5).double()

    try:
        value, slope = estimate(estimator, lambda z: numbers(z).to(dtype))
    except Unsupported as error:
        text = str(error)
        assert "no gradient" in text
        assert "\n" not in text
        return
    # In float32, as the cost itself has no more digits.
    want_value, want_slope = estimate(estimator, numbers)
    assert value.is_floating_point()
    torch.testing.assert_close(value.double(), want_value.double(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(slope, want_slope, rtol=1e-4, atol=1e-6)
    assert float(slope.abs().sum()) > 0


@pytest.mark.parametrize("name", ["rebar", "relax"])
def test_a_reward_trains_the_state_as_a_cost_does(name):
    estimator = relaxit.estimator(name)
    assert isinstance(estimator, StatefulEstimator)
    slopes = []
    for sign in (1, -1, 3):
        torch.manual_seed(0)
        state = estimator.build_state(BIT, 3).double().train()
        leaf = PARAMS.expand(20, -1).clone().requires_grad_()
        value = estimator.surrogate(BIT(leaf), lambda z: (z @ WEIGHTS) ** 2, seed(1), state)
        (sign * value).sum().backward()
        slopes.append([p.grad.clone() for p in state.parameters()])
    assert any(float(s.abs().sum()) > 0 for s in slopes[0])
    for down, same, scaled in zip(*slopes, strict=True):
        torch.testing.assert_close(same, down)
        torch.testing.assert_close(scaled, 3 * down)


def test_the_state_learns_in_float16_too():
    estimator = relaxit.estimator("rebar")
    slopes = []
    for dtype in (torch.float32, torch.float16):
        state = estimator.build_state(BIT, 3).train()
        leaf = PARAMS.expand(20, -1).to(dtype).clone().requires_grad_()
        weights = WEIGHTS.to(dtype) * 16
        value = estimator.surrogate(BIT(leaf), lambda z, w=weights: (z @ w) ** 2, seed(1), state)
        value.float().sum().backward()
        (parameter,) = state.parameters()
        slopes.append(float(parameter.grad))
    assert slopes[0] != 0
    assert slopes[1] == pytest.approx(slopes[0], rel=0.1)
