"""Straight-through against enumeration and the Jacobian of the marginals."""

from __future__ import annotations

import pytest
import torch

from relaxit import RelaxedDistribution
from relaxit.errors import Unsupported
from relaxit.estimators.pathwise import Pathwise
from relaxit.estimators.st_gumbel import StraightThroughGumbel
from relaxit.estimators.straight_through import StraightThrough
from tests.estimators.costs import power_cost
from tests.estimators.draw_estimators import GROUND
from tests.estimators.enumeration import bias
from tests.helpers import params_for, seed
from tests.own_relaxations import DISCRETE
from tests.toy_relaxations import Rows


def exact_and_expected(relaxation, cost, temperature, monkeypatch):
    """The gradient of the expected cost, and the expectation of the estimate of it."""
    params = params_for(relaxation).requires_grad_()
    distribution = relaxation.discrete(params)
    vertices = distribution.enumerate_support()
    mass = distribution.log_prob(vertices).exp()
    (exact,) = torch.autograd.grad((mass * cost(vertices)).sum(), params)
    expected = torch.zeros_like(params)
    for p, vertex in zip(mass.detach(), vertices, strict=True):
        monkeypatch.setattr(RelaxedDistribution, "sample_hard", lambda *_, v=vertex: v)
        value = StraightThrough().surrogate(relaxation(params, temperature), cost)
        assert float(value.detach()) == float(cost(vertex))
        expected += p * torch.autograd.grad(value, params)[0]
    return exact, expected


@DISCRETE
def test_straight_through_is_unbiased_for_linear_costs(relaxation, monkeypatch):
    cost = power_cost(relaxation, 1)
    exact, expected = exact_and_expected(relaxation, cost, 1.0, monkeypatch)
    torch.testing.assert_close(expected, exact, rtol=0, atol=1e-12)


@DISCRETE
def test_straight_through_is_biased_otherwise(relaxation, monkeypatch):
    # So that the test above is known to see a bias: a cubic cost, or another temperature.
    for cost, temperature in ((power_cost(relaxation, 3), 1.0), (power_cost(relaxation, 1), 1.3)):
        exact, expected = exact_and_expected(relaxation, cost, temperature, monkeypatch)
        assert float((expected - exact).norm() / exact.norm()) > 0.02


@GROUND
def test_straight_through_is_exact_for_linear_costs_only(relaxation):
    assert bias("straight-through", relaxation, 1) < 1e-12
    assert bias("straight-through", relaxation, 2) > 0.01
    assert bias("straight-through", relaxation, 1, temperature=1.3) > 0.01


@DISCRETE
@pytest.mark.parametrize("temperature", [0.5, 1.0, torch.tensor([0.5, 1.0, 4.0])])
def test_straight_through_is_the_jacobian_of_the_tempered_marginals(relaxation, temperature):
    cost = power_cost(relaxation, 3)
    params = params_for(relaxation, 3).requires_grad_()
    value = StraightThrough().surrogate(relaxation(params, temperature), cost, seed(1))
    (got,) = torch.autograd.grad(value.sum(), params)
    hard = relaxation(params, temperature).sample_hard((), seed(1)).requires_grad_()
    (upstream,) = torch.autograd.grad(cost(hard).sum(), hard)
    rows = torch.as_tensor(temperature, dtype=torch.float64).expand(3)
    rows = rows.reshape(3, *(1,) * len(relaxation.param_shape))
    marginals = relaxation.discrete(params / rows).mean
    (want,) = torch.autograd.grad(marginals, params, upstream)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-14)


@DISCRETE
def test_vmap_with_noise_of_its_own_in_each_row(relaxation):
    # A linear cost: the straight-through gradient does not depend on the draw.
    params = params_for(relaxation, 5)
    cost = power_cost(relaxation, 1)
    grad = torch.func.grad(lambda a: StraightThrough().surrogate(relaxation(a), cost))
    got = torch.func.vmap(grad, randomness="different")(params)
    leaf = params.clone().requires_grad_()
    (want,) = torch.autograd.grad(cost(relaxation.discrete(leaf).mean).sum(), leaf)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-14)


def test_missing_discrete_distribution_names_another_estimator():
    bare = Rows()
    q = bare(torch.zeros(2, 3))
    for call in (
        lambda: StraightThrough().check(bare),
        lambda: StraightThrough().sample(q),
        lambda: StraightThrough().surrogate(q, torch.sum),
    ):
        with pytest.raises(Unsupported, match=r"straight-through.*test-rows.*try 'st-gumbel'"):
            call()
    for estimator in (Pathwise(), StraightThroughGumbel()):
        estimator.check(bare)
        assert estimator.sample(q).shape == (2, 3)
