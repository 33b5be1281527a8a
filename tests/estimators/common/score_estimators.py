"""Score-function estimators, their estimates, and the exact gradient by enumeration."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

import relaxit
from relaxit import RelaxedDistribution, StatefulEstimator
from relaxit.estimators.arm import Arm
from relaxit.estimators.base import surrogate_with
from relaxit.estimators.disarm import Disarm
from relaxit.estimators.rebar import Rebar
from relaxit.estimators.reinforce import Reinforce
from relaxit.estimators.relax import RelaxEstimator
from relaxit.estimators.rloo import Rloo
from tests.helpers import seed

CATEGORICAL = relaxit.get("categorical", categories=4)
BINARY = relaxit.get("binary")
GENERAL = [Reinforce(), Rloo(samples=2), Rloo(), Rebar(), Rebar(eta=0.3), RelaxEstimator(),
           RelaxEstimator(rebar=False)]  # fmt: skip
BITS = [Arm(), Disarm()]
CASES = [(e, r) for r in (CATEGORICAL, BINARY) for e in GENERAL] + [(e, BINARY) for e in BITS]
EACH = pytest.mark.parametrize(("estimator", "relaxation"), CASES, ids=repr)
STATEFUL = pytest.mark.parametrize(
    "estimator", [e for e in GENERAL if isinstance(e, StatefulEstimator)], ids=repr
)


def exact_gradient(relaxation, params, cost):
    """Gradient of the expected cost of variables ``[L, *param_shape]``, and the expected cost."""
    leaf = params.detach().double().clone().requires_grad_()
    vertices = relaxation.enumerate_vertices().double()
    mass = relaxation.discrete(leaf.unsqueeze(1)).log_prob(vertices).exp()  # [L, N]
    expected = leaf.new_zeros(())
    for state in itertools.product(range(len(vertices)), repeat=len(params)):
        p = math.prod(mass[i, s] for i, s in enumerate(state))
        expected = expected + p * cost(vertices[list(state)])
    return torch.autograd.grad(expected, leaf)[0], expected.detach()


def estimates(estimator, relaxation, params, cost, rows, state=None, temperature=0.7, number=1):
    """Gradients of independent rows, and their costs."""
    leaf = params.expand(rows, *params.shape).clone().requires_grad_()
    q = relaxation(leaf, temperature)
    value = surrogate_with(state, estimator, q, cost, seed(number))
    return torch.autograd.grad(value.sum(), leaf)[0], value.detach()


def errors_off(estimates, exact):
    """Largest deviation of the mean over rows, in standard errors."""
    error = estimates.double().std(0) / len(estimates) ** 0.5
    return float(((estimates.double().mean(0) - exact).abs() / error).max())


def fixed_draws(monkeypatch, hard):
    """Let every distribution draw these hard values."""
    monkeypatch.setattr(RelaxedDistribution, "sample_hard", lambda *_: hard)
