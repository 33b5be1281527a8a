"""ReinMax is exact for quadratic costs, and equals the implementation of its authors."""

from __future__ import annotations

import pytest
import torch

from relaxit.autograd import replace_gradient
from tests.estimators.costs import power_cost
from tests.estimators.draw_estimators import FIVE, GROUND, built, slope_given
from tests.estimators.enumeration import bias, exact, expectation
from tests.helpers import params_for, seed


@GROUND
def test_reinmax_is_exact_for_quadratic_costs_at_temperature_one(relaxation):
    assert bias("reinmax", relaxation, 1) < 1e-12
    assert bias("reinmax", relaxation, 2) < 1e-12
    assert bias("reinmax", relaxation, 2, temperature=1.3) > 0.005
    assert bias("reinmax", relaxation, 3) > 0.01


@GROUND
def test_reinmax_is_exact_for_the_square_of_a_sum_over_variables(relaxation):
    # Quadratic in each variable given the others, and of two variables under one cost.
    params = params_for(relaxation, 2)
    vertices = relaxation.enumerate_vertices().double()
    factors, per_value = torch.tensor([1.0, -2.0]).double(), power_cost(relaxation, 1)
    pairs = torch.cartesian_prod(*[torch.arange(len(vertices))] * 2)
    z = vertices[pairs]

    def cost(values):
        return (factors * per_value(values)).sum(-1).square()

    leaf = params.clone().requires_grad_()
    mass = relaxation.discrete(leaf).log_prob(z).sum(-1).exp()
    (want,) = torch.autograd.grad((mass * cost(z)).sum(), leaf)
    rows = params.expand(len(pairs), *params.shape)
    slopes = slope_given(built("reinmax"), relaxation, rows, z, cost)
    got = (mass.detach().reshape(-1, *(1,) * params.dim()) * slopes).sum(0)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-12)


def test_an_oracle_that_is_off_is_seen():
    # One part in a thousand on the second-order term, and the tests above say no.
    params, cost = params_for(FIVE), power_cost(FIVE, 2)
    reinmax = built("reinmax")

    class Off(type(reinmax)):
        api, name = 1, "off"

        def given(self, q, hard, generator=None):
            value = super().given(q, hard, generator)
            return replace_gradient(hard, 1.001 * value)

    got = expectation(Off(), FIVE, params, cost)
    assert float((got - exact(FIVE, params, cost)).norm()) > 1e-5


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reinmax_is_that_of_its_authors(temperature, dtype):
    theirs = pytest.importorskip("reinmax").reinmax
    logits = params_for(FIVE, 40, 3, dtype=dtype)
    weights = torch.randn(40, 3, 5, generator=seed(2), dtype=dtype)

    def cost(z):
        return ((weights * z).sum(-1) + 0.3) ** 3

    leaf = logits.clone().requires_grad_()
    sample, _ = theirs(leaf, temperature)
    (want,) = torch.autograd.grad(cost(sample).sum(), leaf)
    strided = logits.transpose(0, 1).contiguous().transpose(0, 1)  # which theirs rejects
    got = slope_given(built("reinmax"), FIVE, strided, sample.detach(), cost, temperature)
    scale = float(want.abs().max())
    assert float((got - want).abs().max()) < (1e-6 if dtype == torch.float32 else 1e-12) * scale
