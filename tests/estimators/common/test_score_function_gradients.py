"""Gradients in the weights of a cost, and in masked or forced params."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from relaxit import StatefulEstimator
from relaxit.estimators.base import surrogate_with
from tests.estimators.common.score_estimators import BINARY, BITS, CATEGORICAL, EACH, GENERAL
from tests.estimators.costs import cubic
from tests.helpers import params_for, seed


@EACH
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_decoder_gets_the_gradient_of_the_costs_of_hard_values(estimator, relaxation, dtype):
    size = 2 * math.prod(relaxation.event_shape)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = nn.Sequential(nn.Linear(size, 8), nn.Tanh(), nn.Linear(8, 1)).to(dtype)
    seen = []

    def cost(z):
        if bool(relaxation.vertices.check(z).all()):
            seen.append(z.detach())
        return decoder(z.flatten(1)).squeeze(-1).square()

    params = params_for(relaxation, 5, 2, dtype=dtype).requires_grad_()
    stateful = isinstance(estimator, StatefulEstimator)
    state = estimator.build_state(relaxation, 2) if stateful else None  # which learns
    value = surrogate_with(state, estimator, relaxation(params, 2.0), cost, seed(1))
    got = torch.autograd.grad(value.sum(), list(decoder.parameters()))
    count = 1 if stateful else estimator.evaluations(relaxation, 2)
    assert len(seen) == count
    costs = torch.stack([cost(z) for z in list(seen)])
    assert torch.equal(value, costs.mean(0) if count > 2 else costs.sum(0) / count)
    want = torch.autograd.grad(costs.sum() / count, list(decoder.parameters()))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


@EACH
def test_without_gradients_the_value_is_the_same(estimator, relaxation):
    q = relaxation(params_for(relaxation, 5, 2).requires_grad_(), 0.7)
    cost = cubic(relaxation, 2)
    with torch.no_grad():
        value = surrogate_with(None, estimator, q, cost, seed(1))
    assert torch.equal(value, surrogate_with(None, estimator, q, cost, seed(1)))


@pytest.mark.parametrize("estimator", GENERAL, ids=repr)
def test_masked_entries_stay_as_they_are(estimator):
    params = params_for(CATEGORICAL, 50, 2)
    params[:, 0, 1] = -torch.inf
    params[:, 1, :2] = -torch.inf
    state = None
    if isinstance(estimator, StatefulEstimator):
        state = estimator.build_state(CATEGORICAL, 2)
    leaf = params.clone().requires_grad_()
    tau = torch.tensor(0.5).double().requires_grad_()  # one that is learned elsewhere
    for _ in range(3):
        value = surrogate_with(state, estimator, CATEGORICAL(leaf, tau), cubic(CATEGORICAL, 2))
        learned = list(state.parameters()) if state is not None else []
        slope, *others = torch.autograd.grad(value.sum(), [leaf, *learned])
        assert bool(value.isfinite().all())
        assert all(bool(s.isfinite().all()) for s in (slope, *others))
        assert not bool(slope[params == -torch.inf].any())
        assert bool(slope.any())


@pytest.mark.parametrize("estimator", BITS + GENERAL, ids=repr)
def test_forced_bits_stay_as_they_are(estimator):
    params = torch.tensor([torch.inf, -torch.inf, 0.3]).expand(50, 3).clone().requires_grad_()
    value = surrogate_with(None, estimator, BINARY(params), cubic(BINARY, 3))
    (slope,) = torch.autograd.grad(value.sum(), params)
    assert bool(slope.isfinite().all())
    assert not bool(slope[:, :2].any())
    assert bool(slope[:, 2].any())
