"""The bound on the KL divergence of Permutation and Matching from uniform."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from permutation_helpers import INF, close, frequencies, gumbel, listed, normal, structure, totals
from scipy.optimize import minimize


def exact_kl(theta, draws=200_000):
    """By the frequencies of the best matching; each is known to a few parts in a thousand."""
    p = frequencies(theta, draws, 9) / draws
    seen = p[p > 0]
    return float((seen * seen.log()).sum()) + math.log(len(p))


def plain(theta):
    """The divergence of the Gumbels themselves, not tightened."""
    return (theta - 1 + torch.exp(-theta)).sum((-1, -2))


@pytest.mark.parametrize(("m", "n"), [(2, 2), (3, 3), (1, 3), (2, 3), (2, 4)])
@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_bound_is_above_the_divergence_and_below_the_plain_bound(m, n, scale):
    s = structure(m, n)
    for number in (1, 2, 3):
        theta = scale * normal(m, n, number=number)
        bound = float(s.kl_to_uniform(theta))
        # The frequencies' error: with 2e5 draws and 12 matchings at most, under 1e-3 nats.
        assert bound >= exact_kl(theta) - 1e-3
        assert bound <= min(float(plain(theta)), s.log_cardinality) + 1e-9
    assert not s.kl_is_exact


def test_one_row_is_bounded_too():
    # One row: the hard value is categorical, of which the divergence is known.
    theta = 2 * normal(20, 1, 4)
    p = theta[:, 0].softmax(-1)
    exact = (p * p.log()).sum(-1) + math.log(4)
    bound = structure(1, 4).kl_to_uniform(theta)
    assert bool((bound >= exact - 1e-12).all())
    assert float((bound - exact).min()) < 0.5


@pytest.mark.parametrize("n", [1, 2, 3, 6, 20])
def test_no_bound_where_the_distribution_is_uniform(n):
    theta = 5 * normal(4, n, 1) + 5 * normal(4, 1, n, number=8)
    close(structure(n, n).kl_to_uniform(theta), torch.zeros(4), 1e-8)
    close(structure(n, n).kl_to_uniform(theta.float()), torch.zeros(4), 1e-3)
    rows = 5 * normal(4, n, 1).expand(4, n, n + 1)
    close(structure(n, n + 1).kl_to_uniform(rows), torch.zeros(4), 1e-10)


@pytest.mark.parametrize(("m", "n"), [(2, 2), (3, 3), (4, 4), (2, 3), (1, 5), (3, 6)])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_bound_is_the_minimum_over_shifts(m, n, scale):
    theta = scale * normal(m, n)

    def value(free):
        shifts = torch.tensor(free)
        shifted = theta + shifts[:m, None]
        return float(plain(shifted + shifts[m:] if m == n else shifted))

    start = np.zeros(2 * n if m == n else m)
    found = minimize(value, start, method="BFGS", options={"gtol": 1e-8})
    s = structure(m, n)
    want = min(found.fun, s.log_cardinality)
    assert float(s.kl_to_uniform(theta)) == pytest.approx(want, abs=1e-6)
    assert scale > 1 or want < s.log_cardinality


@pytest.mark.parametrize(("m", "n"), [(2, 2), (4, 4), (2, 3), (1, 3)])
def test_gradient_of_the_bound(m, n):
    s, theta = structure(m, n), 0.4 * normal(3, m, n)
    assert bool((s.kl_to_uniform(theta) < s.log_cardinality - 0.1).all())  # not where it ends
    assert torch.autograd.gradcheck(s.kl_to_uniform, theta.requires_grad_())
    masked = 0.4 * normal(m, n)
    masked[0, 1] = -INF
    if (m, n) == (2, 2):
        masked[1, 0] = -INF
    (slope,) = torch.autograd.grad(s.kl_to_uniform(masked.requires_grad_()), masked)
    step = 1e-5
    for i in range(m):
        for j in range(n):
            moved = torch.zeros(m, n).double()
            moved[i, j] = step
            with torch.no_grad():
                ends = [float(s.kl_to_uniform(masked + k * moved)) for k in (1, -1)]
            assert float(slope[i, j]) == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-6)


@pytest.mark.parametrize(("m", "n"), [(3, 3), (2, 3)])
def test_bound_of_masked_params_is_a_bound(m, n):
    s, theta = structure(m, n), normal(m, n)
    theta[0, 1] = -INF
    bound = float(s.kl_to_uniform(theta))
    noisy = theta + gumbel(100_000, m, n, number=9)
    p = torch.bincount(totals(noisy).argmax(-1), minlength=len(listed(m, n))) / 100_000
    exact = float((p[p > 0] * p[p > 0].log()).sum()) + math.log(len(p))
    assert bound >= exact - 2e-3
    # The divergence of the entries that are left, and the most that a mask can do.
    there = theta != -INF
    rest = float(plain(theta[there].unsqueeze(0)))
    assert s.log_cardinality - 1e-9 <= bound <= rest + s.log_cardinality + 1e-9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("m", "n"), [(1, 1), (3, 3), (10, 10), (3, 5)])
def test_bound_of_extreme_params_is_finite(m, n, dtype):
    signs = 50 * normal(4, m, n).sign()
    signs[1] = -50
    signs[2] = 50 * torch.eye(m, n)
    theta = signs.to(dtype).requires_grad_()
    bound = structure(m, n).kl_to_uniform(theta)
    (slope,) = torch.autograd.grad(bound.sum(), theta)
    for each in (bound, slope):
        assert bool(each.isfinite().all())
    assert bool((bound > -1e-2).all())
    close(bound, structure(m, n).kl_to_uniform(signs), 1e-2)
    assert bool((bound <= structure(m, n).log_cardinality + 1e-5).all())


def test_bound_for_masks_alone():
    theta = torch.full((3, 3), -INF).double()
    theta.fill_diagonal_(2.0)  # one matching is left: its divergence is log 6, and so the bound
    assert float(structure(3, 3).kl_to_uniform(theta)) == pytest.approx(math.log(6), abs=1e-9)


@pytest.mark.parametrize("batch", [(), (0,), (2, 3)], ids=str)
def test_bound_has_the_shape_of_the_batch(batch):
    for m, n in ((3, 3), (2, 3)):
        theta = normal(*batch, m, n)
        assert structure(m, n)(theta).relaxation.kl_to_uniform(theta).shape == batch
