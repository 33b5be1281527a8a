"""Decoupled straight-through Gumbel: one temperature forward, another one backward."""

from __future__ import annotations

import pytest
import torch

import relaxit
from relaxit.testing import count_values, wrong_frequencies
from tests.estimators.costs import power_cost
from tests.estimators.draw_estimators import GROUND, upstream
from tests.estimators.formulas import marginals, pull
from tests.helpers import params_for, seed


@GROUND
def test_decoupled_is_st_gumbel_at_forward_one(relaxation):
    params, cost = params_for(relaxation, 20), power_cost(relaxation, 2)
    slopes = []
    for estimator in (
        relaxit.estimator("decoupled-st-gumbel"),
        relaxit.estimator("st-gumbel"),
        relaxit.estimator("decoupled-st-gumbel", forward=0.3),
    ):
        leaf = params.clone().requires_grad_()
        value = estimator.surrogate(relaxation(leaf, 0.7), cost, seed(1)).sum()
        slopes.append(torch.autograd.grad(value, leaf)[0])
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-12, atol=1e-14)
    assert float((slopes[0] - slopes[2]).norm() / slopes[0].norm()) > 0.01


@GROUND
@pytest.mark.parametrize("forward", [0.4, 2.5])
def test_decoupled_draws_at_one_temperature_and_differentiates_at_another(relaxation, forward):
    kind = relaxation.capabilities.logits
    estimator = relaxit.estimator("decoupled-st-gumbel", forward=forward)
    assert estimator.own_distribution
    assert not relaxit.estimator("decoupled-st-gumbel").own_distribution
    params, cost = params_for(relaxation), power_cost(relaxation, 2)
    rows = params.expand(50_000, *params.shape).clone().requires_grad_()
    z = estimator.sample(relaxation(rows, 0.8), (), seed(1))
    vertices = relaxation.enumerate_vertices().double()
    mass = relaxation.discrete(params / forward).log_prob(vertices).exp()
    seen = count_values(z.detach(), vertices)
    assert not wrong_frequencies(seen, mass)
    assert wrong_frequencies(seen, relaxation.discrete(params).log_prob(vertices).exp())
    # The gradient is that of the soft value of the same noise at the temperature of q.
    (got,) = torch.autograd.grad(cost(z).sum(), rows)
    shape = torch.Size(rows.shape)
    noise = relaxation.noise(shape, dtype=torch.float64, device=rows.device, generator=seed(1))
    p = marginals(kind, (params + noise) / 0.8)
    want = pull(kind, p, upstream(cost, z.detach())) / 0.8
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-11)
