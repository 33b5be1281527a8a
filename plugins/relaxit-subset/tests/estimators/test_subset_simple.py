"""The estimator `simple`, by enumeration."""

from __future__ import annotations

import pytest
import torch
from subset_helpers import close, listed, mean_of, normal, poisson, race, seed

import relaxit
from relaxit import RelaxedDistribution
from relaxit.errors import Unsupported
from relaxit.testing.toys import SamplesOnly
from relaxit_subset.estimators.simple import Simple

BOTH = pytest.mark.parametrize(
    ("name", "exact"), [("subset", poisson), ("subset-plackett-luce", race)]
)
SIZES = pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 2), (4, 3)])


def cost_of(power, n):
    weights = normal(n, number=3)
    return lambda z: ((weights * z).sum(-1) + 0.25) ** power


def expected_and_true(structure, exact, cost, temperature, monkeypatch):
    """Mean of the estimate over all draws, and the gradient of the expected cost."""
    n, k = structure.options.n, structure.options.k
    params, values = normal(n).requires_grad_(), listed(n, k)
    mass = exact(params, k).exp()
    (want,) = torch.autograd.grad((mass * cost(values)).sum(), params)
    mean = torch.zeros(n, dtype=torch.float64)
    for p, value in zip(mass.detach(), values, strict=True):
        monkeypatch.setattr(RelaxedDistribution, "sample_hard", lambda *_, v=value: v)
        estimate = Simple().surrogate(structure(params, temperature), cost)
        assert float(estimate.detach()) == float(cost(value))
        mean += p * torch.autograd.grad(estimate, params)[0]
    return mean, want


@BOTH
@SIZES
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_simple_is_unbiased_for_linear_costs(name, exact, n, k, temperature, monkeypatch):
    structure = relaxit.get(name, n=n, k=k)
    got, want = expected_and_true(structure, exact, cost_of(1, n), temperature, monkeypatch)
    close(got, want, 1e-12)
    assert float(want.norm()) > 0.01


def test_simple_is_biased_otherwise(monkeypatch):
    # So that the test above is known to see a bias.
    structure = relaxit.get("subset", n=5, k=2)
    got, want = expected_and_true(structure, poisson, cost_of(3, 5), 1.0, monkeypatch)
    assert float((got - want).norm() / want.norm()) > 0.02


@BOTH
def test_simple_is_straight_through_at_temperature_one(name, exact):
    del exact
    structure, cost = relaxit.get(name, n=5, k=2), cost_of(3, 5)
    params = normal(7, 5).requires_grad_()
    slopes = {}
    for estimator in (Simple(), relaxit.estimator("straight-through")):
        for temperature in (1.0, 0.3):
            value = estimator.surrogate(structure(params, temperature), cost, seed(1))
            (slope,) = torch.autograd.grad(value.sum(), params)
            slopes[estimator.name, temperature] = slope
    close(slopes["simple", 1.0], slopes["straight-through", 1.0], 1e-12)
    close(slopes["simple", 0.3], slopes["simple", 1.0], 0)
    gap = slopes["simple", 0.3] - slopes["straight-through", 0.3]
    assert float(gap.norm() / slopes["simple", 0.3].norm()) > 0.1


def test_simple_is_the_jacobian_of_the_marginals():
    params = normal(3, 5).requires_grad_()
    mean = mean_of(poisson(params, 2), listed(5, 2))
    z = Simple().sample(relaxit.get("subset", n=5, k=2)(params), (4,), seed(1))
    assert z.shape == (4, 3, 5)
    upstream = normal(4, 3, 5, number=2)
    (got,) = torch.autograd.grad(z, params, upstream)
    (want,) = torch.autograd.grad(mean, params, upstream.sum(0))
    close(got, want, 1e-12)


def test_simple_needs_a_discrete_distribution():
    with pytest.raises(Unsupported, match=r"simple.*discrete distribution.*try 'st-gumbel'"):
        Simple().check(SamplesOnly())
