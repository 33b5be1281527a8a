"""Expected gradients of estimators through draws, by enumeration."""

from __future__ import annotations

import torch

from tests.estimators.costs import power_cost
from tests.estimators.draw_estimators import built, slope_given
from tests.helpers import params_for


def expectation(estimator, relaxation, params, cost, temperature=1.0):
    """Expected gradient of the estimator."""
    vertices = relaxation.enumerate_vertices().double()
    mass = relaxation.discrete(params).log_prob(vertices).exp()
    rows = params.expand(len(vertices), *params.shape)
    slopes = slope_given(estimator, relaxation, rows, vertices, cost, temperature)
    return (mass.reshape(-1, *(1,) * params.dim()) * slopes).sum(0)


def exact(relaxation, params, cost):
    """Gradient of the expected cost."""
    leaf = params.clone().requires_grad_()
    vertices = relaxation.enumerate_vertices().double()
    mass = relaxation.discrete(leaf).log_prob(vertices).exp()
    return torch.autograd.grad((mass * cost(vertices)).sum(), leaf)[0]


def bias(name, relaxation, power, temperature=1.0):
    """Relative error of the expected gradient."""
    params, cost = params_for(relaxation), power_cost(relaxation, power)
    want = exact(relaxation, params, cost)
    got = expectation(built(name), relaxation, params, cost, temperature)
    return float((got - want).norm() / want.norm())
