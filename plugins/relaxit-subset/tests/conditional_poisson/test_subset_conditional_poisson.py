"""The exact distribution of `subset` against enumeration, with masked and forced items."""

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
    scales,
    tolerance,
)
from torch.distributions import kl_divergence

import relaxit
from relaxit_subset.conditional_poisson import distribution as module


def distribution(logits, k):
    return relaxit.get("subset", n=logits.shape[-1], k=k).discrete(logits)


# --- values -----------------------------------------------------------------------------------


@LONG
@pytest.mark.parametrize("n", range(1, 13))
def test_every_quantity_equals_enumeration(n, dtype):
    logits, other = scales(n).to(dtype), scales(n, number=8).flip(0).to(dtype)
    small = tolerance(dtype)
    for k in range(n + 1):
        got, second, values = distribution(logits, k), distribution(other, k), listed(n, k)
        mass, their = poisson(logits, k), poisson(other, k)
        mean, what = mean_of(mass, values), f"n = {n}, k = {k}"
        close(got.log_prob(along(values, logits).to(dtype)), mass, small, small, what)
        close(got.mean, mean, small, 0, what)
        close(got.entropy(), entropy_of(mass), small, small, what)
        close(got.variance, mean * (1 - mean), small, 0, what)
        # Of nearly uniform distributions these are differences of entropies, of up to 7.
        close(kl_divergence(got, second), kl_of(mass, their), 3 * small, small, what)
        uniform = relaxit.get("subset", n=n, k=k)(logits).kl_to_uniform()
        close(uniform, math.log(len(values)) - entropy_of(mass), 3 * small, small, what)


@pytest.mark.parametrize(("n", "k"), [(5, 2), (12, 7), (6, 6), (3, 0), (1, 1)])
def test_batch_shapes_agree(n, k):
    logits = scales(n)
    whole, values = distribution(logits, k), listed(n, k)
    for index, shape in (((0, 2), ()), ((1,), (3,)), ((...,), (2, 3))):
        part = distribution(logits[index], k)
        masses = part.log_prob(along(values, logits[index]))
        assert masses.shape == (len(values), *shape)
        assert part.mean.shape == (*shape, n)
        assert part.entropy().shape == shape
        close(masses, whole.log_prob(along(values, logits))[(slice(None), *index)], 1e-12, 1e-12)
        close(part.mean, whole.mean[index], 1e-14)
        close(part.entropy(), whole.entropy()[index], 1e-12)


@LONG
@pytest.mark.parametrize(("n", "k"), [(5, 2), (9, 8), (12, 6), (2, 1), (4, 4), (4, 0)])
def test_mode_is_a_subset_of_the_greatest_mass(n, k, dtype):
    logits = scales(n).to(dtype)
    mode = distribution(logits, k).mode
    assert bool(((mode == 0) | (mode == 1)).all())
    assert bool((mode.sum(-1) == k).all())
    best = (along(listed(n, k), logits).to(dtype).double() * logits.double()).sum(-1).amax(0)
    close((mode.double() * logits.double()).sum(-1), best, 1e-12)


@pytest.mark.parametrize(("n", "k"), [(5, 2), (6, 6), (4, 0), (1, 1), (7, 3)])
def test_enumeration(n, k):
    got = distribution(torch.zeros(2, n, dtype=torch.float64), k)
    assert torch.equal(got.enumerate_support(False), listed(n, k).unsqueeze(1))
    assert got.enumerate_support().shape == (math.comb(n, k), 2, n)


def test_a_value_other_than_a_subset_has_no_mass():
    got = distribution(normal(4), 2)
    wrong = torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 0], [0.5, 0.5, 1, 0], [2, 0, 0, 0]])
    assert got.log_prob(wrong.double()).tolist() == [-INF] * 4


def test_a_constant_changes_nothing():
    logits = normal(3, 6)
    one, two = distribution(logits, 2), distribution(logits + 1000, 2)
    close(two.mean, one.mean, 1e-12)
    close(two.entropy(), one.entropy(), 1e-12)


@pytest.mark.parametrize(("n", "k"), [(1, 0), (1, 1), (4, 0), (4, 4)])
def test_no_choice(n, k):
    got = distribution(scales(n).requires_grad_(), k)
    assert bool((got.mean == k / n).all())
    assert not bool(got.entropy().any())
    assert not bool(got.log_prob(torch.full((n,), k / n, dtype=torch.float64)).any())
    (slope,) = torch.autograd.grad(got.entropy().sum() + got.mean.square().sum(), got.params)
    assert not bool(slope.any())


@pytest.mark.parametrize(("scale", "expected"), [(0.0, 0.5), (3.0, 1 / (1 + math.exp(-6.0)))])
def test_one_of_two_is_a_coin(scale, expected):
    logits = torch.tensor([scale, -scale], dtype=torch.float64)
    close(distribution(logits, 1).mean[0], torch.tensor(expected), 1e-15, 1e-7)


@pytest.mark.parametrize(("n", "k"), [(2, 1), (6, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_probability_is_negative(n, k, dtype):
    distribution = relaxit.get("subset", n=n, k=k).discrete((50 * normal(2000, n)).to(dtype))
    assert bool(((distribution.mean >= 0) & (distribution.mean <= 1)).all())
    assert bool((distribution.variance >= 0).all())


def test_the_sum_is_computed_once(monkeypatch):
    calls = []
    right = module.minor_marginals
    monkeypatch.setattr(module, "minor_marginals", lambda *a: calls.append(1) or right(*a))
    got = distribution(normal(3, 5).requires_grad_(), 2)
    got.entropy(), got.mean, got.variance, got.log_prob(listed(5, 2)[0])
    assert len(calls) == 1


# --- masks ------------------------------------------------------------------------------------


@LONG
@pytest.mark.parametrize("row", INFINITE, ids=str)
def test_masked_and_forced_items(row, dtype):
    logits, k = torch.tensor(row, dtype=dtype), 2
    got, values, mass = distribution(logits, k), listed(5, k), poisson(logits, k)
    small = tolerance(dtype)
    masses = got.log_prob(values.to(dtype))
    assert torch.equal(masses == -INF, mass == -INF)
    close(masses, mass, small, small)
    close(got.mean, mean_of(mass, values), small)
    close(got.entropy(), entropy_of(mass), small)
    (chosen,) = (values @ got.mode.double() == k).nonzero()[:, 0]
    assert mass[chosen] == mass.max()
    open_distribution = poisson(torch.zeros(5), k)
    close(
        kl_divergence(got, distribution(torch.zeros_like(logits), k)),
        kl_of(mass, open_distribution),
        small,
    )
    close(
        kl_divergence(distribution(torch.zeros_like(logits), k), got),
        kl_of(open_distribution, mass),
        small,
    )


@pytest.mark.parametrize("row", INFINITE, ids=str)
@pytest.mark.parametrize("weigh", [0, 1, 2])
def test_gradients_of_masked_and_forced_items(row, weigh):
    values, weights = listed(5, 2), normal(10, number=3)[: [10, 5, 1][weigh]]
    finite = torch.tensor(row).isfinite()

    def quantity(logits, exact):
        mass = poisson(logits, 2) if exact else distribution(logits, 2).log_prob(values)
        if weigh == 0:  # of the masses there are
            return (weights * torch.where(mass.detach() == -INF, 0.0, mass)).sum()
        if weigh == 1:
            return weights @ (mean_of(mass, values) if exact else distribution(logits, 2).mean)
        return entropy_of(mass) if exact else distribution(logits, 2).entropy()

    slopes = []
    for exact in (False, True):
        logits = torch.tensor(row, dtype=torch.float64, requires_grad=True)
        slopes.append(torch.autograd.grad(quantity(logits, exact), logits)[0])
    assert bool(slopes[0].isfinite().all())
    assert not bool(slopes[0][~finite].any())
    close(slopes[0][finite], slopes[1][finite], 1e-12)
