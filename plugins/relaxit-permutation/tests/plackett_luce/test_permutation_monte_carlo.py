"""Estimates of entropy and KL divergence: their standard errors and their gradients."""

from __future__ import annotations

import math

import pytest
import torch
from permutation_helpers import dtypes, normal, seed
from plackett_luce_oracles import distribution
from torch.distributions import kl_divergence


@dtypes
def test_estimates_are_within_their_errors(dtype):
    # 16 estimates; 4.5 standard errors are passed by chance at a rate of 1e-4 in all.
    scores = torch.stack([normal(6) * scale for scale in (0.1, 1.0, 3.0, 10.0)]).to(dtype)
    other = normal(4, 6, number=3).to(dtype)
    p, q = distribution(scores), distribution(other)
    pairs = [
        (p.entropy_estimate(4000, seed(1)), p.entropy()),
        (p.kl_estimate(q, 4000, seed(2)), kl_divergence(p, q)),
        (q.kl_estimate(p, 4000, seed(3)), kl_divergence(q, p)),
        (
            p.kl_estimate(distribution(torch.zeros_like(scores)), 4000, seed(4)),
            p.relaxation.kl_to_uniform(scores),
        ),
    ]
    for (estimate, error), exact in pairs:
        assert bool((error > 0).all())
        assert float(((estimate - exact) / error).abs().max()) < 4.5
        assert bool((error < 0.05 * (1 + exact)).all())


def test_standard_error_is_the_spread_of_estimates():
    # With 4 samples: to divide by 4 instead of 3 would show. The spread of 20 000 is known to about
    # 1 %.
    scores = normal(5) * 2
    estimate, error = distribution(scores.expand(20_000, 5)).entropy_estimate(4, seed(1))
    known = error.square().mean().sqrt()
    assert float(known / estimate.std()) == pytest.approx(1, abs=0.04)
    _, longer = distribution(scores).entropy_estimate(4 * 10_000, seed(1))
    assert float(longer / known) == pytest.approx(1 / 100, rel=0.1)


def test_estimates_of_equal_scores_have_no_noise():
    got, error = distribution(torch.zeros(30).double()).entropy_estimate(5)
    assert float(got) == pytest.approx(math.lgamma(31), abs=1e-11)
    assert float(error) < 1e-11
    same, error = distribution(normal(9)).kl_estimate(distribution(normal(9)), 5)
    assert float(same) == float(error) == 0


@pytest.mark.parametrize("which", ["entropy", "divergence"])
def test_estimates_have_the_exact_gradient_on_average(which):
    scores, rows = normal(4) * 1.5, 20_000
    leaf = scores.expand(rows, 4).clone().requires_grad_()
    one = scores.clone().requires_grad_()
    other = distribution(normal(4, number=3))
    if which == "entropy":
        total, exact = (
            distribution(leaf).entropy_estimate(3, seed(1))[0].sum(),
            distribution(one).entropy(),
        )
    else:
        total = distribution(leaf).kl_estimate(other, 3, seed(1))[0].sum()
        exact = kl_divergence(distribution(one), other)
    slopes, (want,) = torch.autograd.grad(total, leaf)[0], torch.autograd.grad(exact, one)
    off = (slopes.mean(0) - want) / (slopes.std(0) / rows**0.5)
    assert float(off.abs().max()) < 4.8  # of 4: alpha = 1e-5
    # It is far from zero, and the comparison means something.
    assert float(want.abs().max() / (slopes.std(0) / rows**0.5).max()) > 20


def test_estimates_of_different_batches():
    one, wide = distribution(normal(5)), distribution(normal(3, 5, number=2))
    for p, q in ((one, wide), (wide, one)):
        got, error = p.kl_estimate(q, 5000, seed(1))
        assert got.shape == error.shape == (3,)
        assert float(((got - kl_divergence(p, q)) / error).abs().max()) < 4.5
