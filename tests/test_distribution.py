"""Quantities of relaxit's own relaxations, beyond the checks of the conformance kit."""

from __future__ import annotations

import math

import pytest
import torch

import relaxit
from relaxit.errors import DomainError
from tests.helpers import params_for, relaxations_with, seed
from tests.own_relaxations import ALL, DENSITY, DISCRETE, masses


def test_there_is_something_to_test():
    assert len(relaxations_with("density")) >= 3
    assert len(relaxations_with("discrete_distribution")) >= 3


@DISCRETE
def test_variance_by_enumeration(relaxation):
    params = params_for(relaxation, 6) * 2
    distribution = relaxation.discrete(params)
    values, p = distribution.enumerate_support(), masses(relaxation, params)
    weight = p.reshape(*p.shape, *(1,) * len(relaxation.event_shape))
    spread = (weight * (values - distribution.mean) ** 2).sum(0)
    torch.testing.assert_close(distribution.variance, spread, rtol=0, atol=1e-12)


@DISCRETE
def test_discrete_expand_and_support_without_expand(relaxation):
    distribution = relaxation.discrete(params_for(relaxation, 3))
    big = distribution.expand((2, 3))
    assert torch.equal(big.mean, distribution.mean.expand(2, *distribution.mean.shape))
    assert big.sample((5,)).shape == (5, 2, 3, *relaxation.event_shape)
    thin = distribution.enumerate_support(expand=False)
    assert torch.equal(
        thin.expand_as(distribution.enumerate_support()), distribution.enumerate_support()
    )


@ALL
@pytest.mark.parametrize("given", [(), (1,), (3,), (2, 1), (2, 3)])
def test_temperature_of_every_shape_equals_the_loop(relaxation, given):
    params = params_for(relaxation, 2, 3)
    temperature = torch.rand(given, generator=seed(3), dtype=torch.float64) + 0.2
    full = temperature.expand(2, 3)
    q = relaxation(params, temperature)
    soft = q.rsample((4,), seed(1))
    for i in range(2):
        for j in range(3):
            one = relaxation(params, float(full[i, j]))
            torch.testing.assert_close(soft[:, i, j], one.rsample((4,), seed(1))[:, i, j])
            if relaxation.capabilities.density:
                alone = relaxation(params[i, j], float(full[i, j])).log_prob(soft[:, i, j])
                torch.testing.assert_close(q.log_prob(soft)[:, i, j], alone)
            if relaxation.capabilities.log_space:
                x = q.log_space.rsample((4,), seed(2))
                alone = relaxation(params[i, j], float(full[i, j])).log_space.log_prob(x[:, i, j])
                torch.testing.assert_close(q.log_space.log_prob(x)[:, i, j], alone)


@ALL
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_bad_temperature(relaxation, bad):
    for temperature in (bad, torch.tensor(bad), torch.tensor([1.0, bad])):
        with pytest.raises(DomainError):
            relaxation(params_for(relaxation, 2), temperature)


@ALL
def test_expand_keeps_every_quantity(relaxation):
    params = params_for(relaxation, 3)
    q = relaxation(params, torch.tensor([0.3, 0.5, 2.0]))
    big = q.expand((2, 3))
    value = q.rsample((2,), seed(0))
    if relaxation.capabilities.density:
        torch.testing.assert_close(big.log_prob(value), q.log_prob(value))
    if relaxation.capabilities.log_space:
        x = q.log_space.rsample((2,), seed(0))
        want = q.log_space.log_prob(x)
        torch.testing.assert_close(big.log_space.log_prob(x), want)
        torch.testing.assert_close(q.log_space.expand((2, 3)).log_prob(x), want)
    if relaxation.capabilities.discrete_distribution:
        assert torch.equal(big.discrete.entropy()[1], q.discrete.entropy())


@DENSITY
def test_a_vertex_has_no_density(relaxation):
    q = relaxation(params_for(relaxation, 3))
    with pytest.raises(DomainError, match=r"q\.discrete\.log_prob"):
        q.log_prob(q.sample_hard())


@pytest.mark.parametrize("name", ["categorical", "binary"])
def test_kl_of_a_nearly_uniform_distribution_keeps_its_gradient(name):
    """Rounding may make the value negative there; it may not switch the gradient off."""
    relaxation = relaxit.get(name, **({"categories": 10} if name == "categorical" else {}))
    params = 1e-4 * torch.randn(500, *relaxation.param_shape)
    single, double = params.requires_grad_(), params.detach().double().requires_grad_()
    for p in (single, double):
        relaxation.kl_to_uniform(p).sum().backward()
    share = (single.grad != 0).double().mean()
    assert share > 0.9
    assert torch.allclose(single.grad.double(), double.grad, atol=2e-6)
