"""Moments of the costs so far, and baselines made of them."""

from __future__ import annotations

import copy

import pytest
import torch

from relaxit.estimators.common.running_averages import RunningMoments
from relaxit.estimators.reinforce import Reinforce
from tests.estimators.common.score_estimators import CATEGORICAL, STATEFUL, estimates
from tests.estimators.costs import cubic
from tests.helpers import params_for, seed


def test_moments_are_those_of_the_past():
    moments, decay, costs = RunningMoments(0.8), 0.8, torch.randn(6, 10, generator=seed(1))
    for step, now in enumerate(costs):
        past = costs[:step]
        weights = decay ** torch.arange(step - 1, -1, -1.0)
        mean = (weights * past.mean(1)).sum() / weights.sum() if step else torch.zeros(())
        square = (weights * past.square().mean(1)).sum() / weights.sum() if step else mean
        torch.testing.assert_close(moments.mean(), mean)
        torch.testing.assert_close(moments.deviation(), (square - mean**2).sqrt())
        moments.update(now)


def test_moments_keep_a_small_spread_of_large_costs():
    costs = torch.randn(50, 200, generator=seed(1))
    for mean in (0.0, 3000.0, 1e5):
        moments = RunningMoments(0.9)
        for row in costs + mean:
            moments.update(row)
        assert float(moments.mean()) == pytest.approx(mean, abs=0.1)
        assert float(moments.deviation()) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    "odd", [torch.empty(0), torch.tensor([1.0, torch.inf]), torch.tensor([torch.nan])]
)
@pytest.mark.parametrize("before", [0, 2])
def test_moments_ignore_costs_that_are_not_finite(odd, before):
    moments = RunningMoments(0.9)
    for _ in range(before):
        moments.update(torch.tensor([3.0, 5.0]))
    kept = {name: buffer.clone() for name, buffer in moments.named_buffers()}
    moments.update(odd)
    for name, buffer in moments.named_buffers():
        assert torch.equal(buffer, kept[name])
    moments.update(torch.tensor([4.0]))
    assert float(moments.mean()) == pytest.approx(4.0)


def test_baseline_knows_earlier_costs_only():
    # One row: with its own cost in the baseline the first estimate would be 0, a bias of 100 %.
    cost, state = cubic(CATEGORICAL, 2), Reinforce().build_state(CATEGORICAL, 2)
    params = params_for(CATEGORICAL, 2, dtype=torch.float32)
    first, value = estimates(Reinforce(), CATEGORICAL, params, cost, 1, state)
    plain, _ = estimates(Reinforce(), CATEGORICAL, params, cost, 1)
    assert torch.equal(first, plain)
    torch.testing.assert_close(state.mean(), value[0])
    second, now = estimates(Reinforce(), CATEGORICAL, params, cost, 1, state, number=2)
    plain, _ = estimates(Reinforce(), CATEGORICAL, params, cost, 1, number=2)
    torch.testing.assert_close(second * now, plain * (now - value))


def test_baseline_lowers_the_variance():
    cost, params = cubic(CATEGORICAL, 2), params_for(CATEGORICAL, 2, dtype=torch.float32)
    state = Reinforce().build_state(CATEGORICAL, 2)
    raw, _ = estimates(Reinforce(), CATEGORICAL, params, lambda z: cost(z) + 10, 2000, state)
    less, _ = estimates(Reinforce(), CATEGORICAL, params, lambda z: cost(z) + 10, 2000, state)
    assert float(less.var(0).sum()) < 0.3 * float(raw.var(0).sum())


@STATEFUL
def test_state_rests_and_is_restored(estimator):
    cost, params = cubic(CATEGORICAL, 2), params_for(CATEGORICAL, 2, dtype=torch.float32)
    state = estimator.build_state(CATEGORICAL, 2)
    estimates(estimator, CATEGORICAL, params, cost, 50, state)
    kept = copy.deepcopy(state.state_dict())
    want, _ = estimates(estimator, CATEGORICAL, params, cost, 50, state.eval())
    with torch.no_grad():
        estimator.surrogate(CATEGORICAL(params), cost, None, state.train())
    assert all(torch.equal(kept[name], now) for name, now in state.state_dict().items())
    other = estimator.build_state(CATEGORICAL, 2).eval()
    other.load_state_dict(kept)
    got, _ = estimates(estimator, CATEGORICAL, params, cost, 50, other)
    assert torch.equal(got, want)
