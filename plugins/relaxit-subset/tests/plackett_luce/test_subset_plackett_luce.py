"""The distribution of `subset-plackett-luce` against the sum over all orders of drawing."""

from __future__ import annotations

import math

import pytest
import torch
from subset_helpers import (
    INF,
    INFINITE,
    LONG,
    along,
    close,
    entropy_of,
    kl_of,
    listed,
    mean_of,
    normal,
    poisson,
    race,
    scales,
    seed,
    tolerance,
)
from torch.distributions import kl_divergence

import relaxit
from relaxit.errors import Unsupported
from relaxit.testing import count_values, wrong_frequencies
from relaxit_subset.plackett_luce import subset_plackett_luce


def distribution(logits, k):
    return relaxit.get("subset-plackett-luce", n=logits.shape[-1], k=k).discrete(logits)


def exact(logits, k):
    """As ``race``; what is forced rings before all others, and is no longer looked at."""
    logits = torch.as_tensor(logits).double()
    return race(torch.where(logits == INF, 1e3, logits), k)


# --- mass and marginals -----------------------------------------------------------------------


@LONG
@pytest.mark.parametrize("n", range(1, 8))
def test_every_quantity_equals_the_sum_over_orders(n, dtype):
    logits, other = scales(n).to(dtype), scales(n, number=8).flip(0).to(dtype)
    small = tolerance(dtype)
    for k in range(n + 1):
        got, values, what = distribution(logits, k), listed(n, k), f"n = {n}, k = {k}"
        mass, their = race(logits, k), race(other, k)
        found = got.log_prob(along(values, logits).to(dtype))
        close(found, mass, 3 * small, 3 * small, what)
        close(found.double().exp().sum(0), torch.ones(2, 3).double(), 3 * small, 0, what)
        close(got.mean, mean_of(mass, values), 3 * small, 0, what)
        close(got.mean.sum(-1), torch.full((2, 3), float(k)), 3 * n * small, 0, what)
        close(got.entropy(), entropy_of(mass), 3 * small, 3 * small, what)
        close(
            kl_divergence(got, distribution(other, k)),
            kl_of(mass, their),
            3 * small,
            3 * small,
            what,
        )


@LONG
@pytest.mark.parametrize("k", [1, 2, 4, 5])
def test_marginals_of_ten_items(k, dtype):
    logits = scales(10).to(dtype)
    close(
        distribution(logits, k).mean, mean_of(race(logits, k), listed(10, k)), 3 * tolerance(dtype)
    )


@LONG
@pytest.mark.parametrize("scale", [1.0, 10.0, 50.0])
def test_integral_at_large_scales(scale, dtype):
    # Masses down to e^-500: their logarithms are right to a few digits of the last.
    logits = (normal(20, 6) * scale).to(dtype)
    for k in range(1, 6):
        got = distribution(logits, k).log_prob(along(listed(6, k), logits).to(dtype))
        want = race(logits, k)
        if scale == 50:
            assert float(want.min()) < -100
        close(got, want, 3 * tolerance(dtype), 3 * tolerance(dtype), f"k = {k}")


@LONG
@pytest.mark.parametrize(("n", "k"), [(20, 10), (100, 10), (100, 90), (300, 40), (1000, 50)])
def test_mass_of_many_equal_items(n, k, dtype):
    value = torch.zeros(n, dtype=dtype)
    value[:k] = 1
    want = math.lgamma(k + 1) + math.lgamma(n - k + 1) - math.lgamma(n + 1)
    got = distribution(torch.zeros(n, dtype=dtype), k).log_prob(value)
    assert float(got) == pytest.approx(want, rel=3 * tolerance(dtype))


# The integrand has a step of width 1 / sqrt(k).
@LONG
@pytest.mark.parametrize(
    ("n", "k"),
    [
        (20, 10),
        (100, 10),
        (100, 50),
        (200, 100),
    ],
)
def test_many_equal_items_share_evenly(n, k, dtype):
    got = distribution(torch.zeros(n, dtype=dtype), k)
    close(got.mean, torch.full((n,), k / n, dtype=torch.float64), 3 * tolerance(dtype))


@pytest.mark.parametrize(("n", "k"), [(40, 15), (150, 75)])
def test_marginals_of_many_items_sum_to_k(n, k):
    assert float(distribution(normal(n), k).mean.sum()) == pytest.approx(k, abs=1e-9)


@LONG
@pytest.mark.parametrize("row", INFINITE, ids=str)
def test_masked_and_forced_items(row, dtype):
    logits, values = torch.tensor(row, dtype=dtype), listed(5, 2)
    got, mass = distribution(logits, 2), exact(logits, 2)
    mass = torch.where(mass < -500, -INF, mass)  # what leaves out a forced item
    small = 3 * tolerance(dtype)
    close(got.log_prob(values.to(dtype)), mass, small, small)
    close(got.mean, mean_of(mass, values), small)
    close(got.entropy(), entropy_of(mass), small, small)
    leaf = logits.clone().requires_grad_()
    total = distribution(leaf, 2).entropy() + distribution(leaf, 2).mean.square().sum()
    (slope,) = torch.autograd.grad(total, leaf)
    assert bool(slope.isfinite().all())
    assert not bool(slope[~logits.isfinite()].any())


def test_derivatives_equal_those_of_the_sum():
    logits, values = (normal(6) * 2).requires_grad_(), listed(6, 3)
    weights = normal(20, number=1)
    pairs = [
        (weights @ distribution(logits, 3).log_prob(values), weights @ race(logits, 3)),
        (
            weights[:6] @ distribution(logits, 3).mean,
            weights[:6] @ mean_of(race(logits, 3), values),
        ),
        (distribution(logits, 3).entropy(), entropy_of(race(logits, 3))),
    ]
    for got, want in pairs:
        slopes = [torch.autograd.grad(each, logits, create_graph=True)[0] for each in (got, want)]
        close(*slopes, 1e-11)
        curves = [torch.autograd.grad(each.square().sum(), logits)[0] for each in slopes]
        close(*curves, 1e-10)


# --- draws and mode ---------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 2), (6, 4), (7, 3)])
def test_draws_and_hard_values_follow_the_mass(n, k):
    # alpha = 2e-5 each.
    logits = normal(n) * 1.5
    values, mass = listed(n, k), race(logits, k)
    structure = relaxit.get("subset-plackett-luce", n=n, k=k)
    drawn = structure.discrete(logits).sample((20_000,), seed(1))
    assert not wrong_frequencies(count_values(drawn, values), mass.exp())
    for temperature in (0.1, 5.0):
        soft, hard = structure(logits, temperature).draw((20_000,), seed(2))
        assert not wrong_frequencies(count_values(hard, values), mass.exp())
        assert bool((structure.hard(soft) == hard).all(-1).double().mean() > 0.999)
    if k > 1:  # with one item, or n - 1, both distributions are the same or close
        assert wrong_frequencies(count_values(drawn, values), poisson(logits, k).exp())


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_mode_has_the_greatest_mass(n):
    logits = scales(n)
    for k in range(n + 1):
        mode, mass = distribution(logits, k).mode, race(logits, k)
        got = distribution(logits, k).log_prob(mode)
        close(got, mass.amax(0), 1e-11, 1e-11, f"k = {k}")


@pytest.mark.parametrize("n", range(1, 8))
def test_one_item_is_the_softmax(n):
    logits = scales(n)
    close(distribution(logits, 1).mean, logits.softmax(-1), 1e-12)


def test_it_is_not_the_conditional_poisson_distribution():
    # Oracles only: how far apart the two distributions are, and that the package has each of them.
    logits = normal(7)
    ours, other = race(logits, 3).exp(), poisson(logits, 3).exp()
    distance = float((ours - other).abs().sum() / 2)
    assert 0.05 < distance < 0.2
    values = listed(7, 3)
    both = [
        relaxit.get(name, n=7, k=3).discrete(logits).log_prob(values).exp()
        for name in ("subset-plackett-luce", "subset")
    ]
    assert float((both[0] - both[1]).abs().sum() / 2) == pytest.approx(distance, abs=1e-12)


# --- beyond what is summed --------------------------------------------------------------------


@pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 2), (7, 3), (7, 6), (6, 1)])
def test_bound_of_the_divergence(n, k, monkeypatch):
    structure = relaxit.get("subset-plackett-luce", n=n, k=k)
    logits = torch.cat([normal(25, n) * s for s in (1e-3, 0.1, 1.0, 5.0)])
    sums = structure.kl_to_uniform(logits)
    close(sums, math.log(math.comb(n, k)) - entropy_of(race(logits, k)), 1e-11, 1e-11)
    monkeypatch.setattr(subset_plackett_luce, "MOST_TRAINED", 0)
    bound = structure.kl_to_uniform(logits)
    assert bool((bound >= sums - 1e-14).all())
    assert bool((bound[25:] > sums[25:]).all())  # it is the bound, and not the sum
    # Not a loose one: that of n Gumbel variables, 1/2 sum of squares for small logits.
    small = logits[:25] - logits[:25].mean(-1, keepdim=True)
    close(bound[:25], small.square().sum(-1) / 2, 1e-7)
    close(structure.kl_to_uniform(logits + 3), bound, 1e-11, 1e-11)
    assert float(structure.kl_to_uniform(torch.zeros(n))) == pytest.approx(0, abs=1e-6)


def test_bound_with_masked_and_forced_items(monkeypatch):
    structure = relaxit.get("subset-plackett-luce", n=5, k=2)
    logits = torch.tensor(INFINITE[:4], dtype=torch.float64)
    exact = structure.kl_to_uniform(logits)
    monkeypatch.setattr(subset_plackett_luce, "MOST_TRAINED", 0)
    for row, divergence in zip(logits, exact, strict=True):
        free = row[row.isfinite()]
        left = 2 - int((row == INF).sum())
        small = relaxit.get("subset-plackett-luce", n=len(free), k=left)
        # What the restriction itself costs: fewer subsets.
        fewer = math.log(10) - math.log(math.comb(len(free), left))
        bound = structure.kl_to_uniform(row)
        close(bound, small.kl_to_uniform(free) + fewer, 1e-13, 1e-13)
        assert float(bound) >= float(divergence) - 1e-12


@pytest.mark.parametrize("name", ["entropy", "KL divergence"])
def test_sums_over_too_many_subsets_are_not_supported(name):
    got = distribution(torch.zeros(20), 10)
    with pytest.raises(Unsupported, match=rf"{name}.*184756.*5000.*'subset'"):
        got.entropy() if name == "entropy" else kl_divergence(got, got)
    bound = relaxit.get("subset-plackett-luce", n=20, k=10)(torch.arange(20.0)).kl_to_uniform()
    assert 0 < float(bound) < torch.inf
    assert float(distribution(torch.zeros(14), 5).entropy()) == pytest.approx(
        math.log(2002), rel=1e-5
    )


def test_divergence_of_distributions_of_different_batches():
    wide, one = normal(6, 4), normal(4, number=3)  # as many rows as there are subsets
    got = kl_divergence(distribution(wide, 2), distribution(one, 2))
    close(got, kl_divergence(distribution(wide, 2), distribution(one.expand(6, 4), 2)), 1e-14)
    assert got.shape == (6,)
    assert bool((got > 0).all())
    assert kl_divergence(distribution(one, 2), distribution(normal(3, 4), 2)).shape == (3,)


def test_it_says_where_the_divergence_is_a_bound():
    for n, k, exact in ((7, 3, True), (10, 4, True), (15, 5, False), (20, 10, False)):
        structure = relaxit.get("subset-plackett-luce", n=n, k=k)
        assert structure.kl_is_exact == exact == (math.comb(n, k) <= 300)
        assert relaxit.get("subset", n=n, k=k).kl_is_exact
