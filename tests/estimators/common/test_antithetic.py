"""Antithetic pairs of draws, by integration over all noise."""

from __future__ import annotations

import itertools

import pytest
import torch

from relaxit.estimators.common import antithetic
from tests.estimators.common.score_estimators import BINARY, BITS, estimates, exact_gradient
from tests.estimators.costs import cubic
from tests.helpers import params_for


def pieces_of(p):
    """Where both bits of a pair stay as they are: middle and length of intervals of u."""
    ends = [0.0, min(p, 1 - p), max(p, 1 - p), 1.0]
    return [((a + b) / 2, b - a) for a, b in itertools.pairwise(ends)]


@pytest.mark.parametrize("estimator", BITS, ids=repr)
def test_antithetic_pairs_are_exact_over_all_noise(estimator, monkeypatch):
    # Both estimates are linear in each u between the points where a bit of the pair changes, so
    # that the midpoint rule is exact.
    params, cost = torch.tensor([0.8, -1.7]).double(), cubic(BINARY, 2)
    exact, expected = exact_gradient(BINARY, params, cost)
    total, mean = torch.zeros_like(params), 0.0
    for (u, du), (v, dv) in itertools.product(*(pieces_of(float(a.sigmoid())) for a in params)):
        noise = torch.tensor([u, v], dtype=torch.float64).logit()
        monkeypatch.setattr(antithetic, "logistic", lambda *_, x=noise, **__: x)
        leaf = params.clone().requires_grad_()
        value = estimator.surrogate(BINARY(leaf), cost)
        mean += du * dv * value.detach()
        total += du * dv * torch.autograd.grad(value, leaf)[0]
    torch.testing.assert_close(total, exact, rtol=0, atol=1e-12)
    torch.testing.assert_close(mean, expected, rtol=0, atol=1e-12)


def test_disarm_varies_less_than_arm():
    params, cost = params_for(BINARY, 5, dtype=torch.float32), cubic(BINARY, 5)
    arm, disarm = (estimates(e, BINARY, params, cost, 5000)[0].var(0).sum() for e in BITS)
    assert disarm < 0.9 * arm
