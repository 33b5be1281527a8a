"""Exact draws of `subset`: their frequencies, by chi-square tests, and shapes. alpha = 2e-5."""

from __future__ import annotations

import pytest
import torch
from subset_helpers import INF, listed, normal, poisson, race, scales, seed

import relaxit
from relaxit.testing import ALPHA, count_values, wrong_frequencies
from relaxit_subset.conditional_poisson import divide_and_conquer

DRAWS = 20_000


def sample(logits, k, shape, generator):
    return relaxit.get("subset", n=logits.shape[-1], k=k).discrete(logits).sample(shape, generator)


def frequencies_fit(logits, k, draws):
    values = listed(logits.shape[-1], k)
    return not wrong_frequencies(count_values(draws, values), poisson(logits, k).exp())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("n", "k"), [(2, 1), (3, 1), (3, 2), (4, 2), (5, 2), (7, 3), (8, 4), (9, 8), (11, 5), (1, 1)]
)
def test_draws_follow_the_mass(n, k, dtype):
    for number in range(2):
        logits = (normal(n, number=number) * (1 + number)).to(dtype)
        assert frequencies_fit(logits, k, sample(logits, k, (DRAWS,), seed(number)))


def test_the_test_sees_another_distribution():
    # Gumbel-top-k, the distribution of the k largest perturbed logits; and logits slightly off.
    logits = normal(7)
    other = relaxit.get("subset-plackett-luce", n=7, k=3).discrete(logits)
    values = other.sample((DRAWS,), seed(0))
    assert not frequencies_fit(logits, 3, values)
    assert not wrong_frequencies(count_values(values, listed(7, 3)), race(logits, 3).exp())
    off = logits + 0.1 * torch.arange(7)
    assert not frequencies_fit(logits, 3, sample(off, 3, (DRAWS,), seed(0)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [5, 6, 8])
def test_extreme_logits(n, dtype):
    for row in scales(n).flatten(0, 1).to(dtype):
        assert frequencies_fit(row, 3, sample(row, 3, (5000,), seed(1)))


@pytest.mark.parametrize("number", [1e2, 1e4, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_huge_logits(number, dtype):
    # Certain items are certain, and what is left is shared evenly.
    logits = torch.tensor([number, 0.0, 0.0, -number, 0.0, number], dtype=dtype)
    draws = sample(logits, 3, (3000,), seed(1))
    assert bool((draws.sum(-1) == 3).all())
    assert bool((draws[:, [0, 5]] == 1).all())
    assert not bool(draws[:, 3].any())
    assert not wrong_frequencies(draws[:, [1, 2, 4]].sum(0), torch.ones(3))


@pytest.mark.parametrize(
    "row",
    [
        [0.3, -INF, 1.0, -2.0, 0.0, 0.4],
        [-INF, 0.7, -INF, 0.4, -1.0, 0.1],
        [0.3, INF, 1.0, -2.0, 0.0, -0.5],
        [5.0, INF, -INF, -5.0, 0.5, 0.0],
        [-INF, 0.3, -INF, -INF, 1.2, 0.0],
        [INF, 0.3, INF, 5.0, 1.2, INF],
    ],
    ids=str,
)
def test_masked_and_forced_items(row):
    logits = torch.tensor(row)
    draws = sample(logits, 3, (5000,), seed(3))
    assert not bool(draws[:, logits == -INF].any())
    assert bool((draws[:, logits == INF] == 1).all())
    assert frequencies_fit(logits, 3, draws)


def test_rows_do_not_mix():
    logits = normal(2, 3, 5) * 2
    draws = sample(logits, 2, (DRAWS,), seed(1))
    assert draws.shape == (DRAWS, 2, 3, 5)
    for i in range(2):
        for j in range(3):
            assert frequencies_fit(logits[i, j], 2, draws[:, i, j])
            assert not frequencies_fit(logits[i, j], 2, draws[:, i, (j + 1) % 3])


def test_rows_have_noise_of_their_own():
    # Pairs of draws of equal rows fall into the product of two masses.
    logits = normal(4)
    draws = sample(logits.expand(2, 4), 2, (DRAWS,), seed(1))
    values, mass = listed(4, 2), poisson(logits, 2)
    code = torch.arange(6).unsqueeze(-1) * 6 + torch.arange(6)
    index = (draws.unsqueeze(-2) == values).all(-1).long().argmax(-1)
    pairs = torch.bincount(code[index[:, 0], index[:, 1]], minlength=36)
    assert not wrong_frequencies(pairs, (mass.unsqueeze(-1) + mass).flatten().exp())
    same = torch.bincount(code[index[:, 0], index[:, 0]], minlength=36)
    assert wrong_frequencies(same, (mass.unsqueeze(-1) + mass).flatten().exp())


@pytest.mark.parametrize("batch", [(), (3,), (2, 0), (2, 3)])
@pytest.mark.parametrize("shape", [(), (4,), (0,), (2, 5)])
@pytest.mark.parametrize(("n", "k"), [(1, 0), (1, 1), (6, 2), (8, 8), (5, 0)])
def test_shapes(n, k, batch, shape):
    draws = sample(normal(*batch, n, dtype=torch.float16), k, shape, seed(0))
    assert draws.shape == (*shape, *batch, n)
    assert draws.dtype == torch.float16
    assert bool(((draws == 0) | (draws == 1)).all())
    assert bool((draws.sum(-1) == k).all())


def test_generator_decides():
    logits = normal(40, 6)
    before = torch.get_rng_state()
    one, same, other = (sample(logits, 2, (3,), seed(number)) for number in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())
    free = [sample(logits, 2, (3,), None) for _ in range(2)]
    assert not torch.equal(*free)


def test_many_items():
    # Marginals of 1000 items in 2000 draws, each within six standard deviations.
    logits = normal(1000) * 3
    distribution = relaxit.get("subset", n=1000, k=50).discrete(logits)
    found, mean = distribution.sample((2000,), seed(1)).mean(0), distribution.mean
    spread = (mean * (1 - mean) / 2000).sqrt()
    assert bool(((found - mean).abs() <= 6 * spread + 6 / 2000).all())
    assert not bool(((found - mean.roll(1)).abs() <= 6 * spread + 6 / 2000).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_largest_uniform_number_still_gives_a_subset(dtype, monkeypatch):
    top = 1 - torch.finfo(dtype).eps / 2
    for number in (top, torch.finfo(dtype).tiny):
        monkeypatch.setattr(
            divide_and_conquer.noise,
            "uniform",
            lambda shape, u=number, **_: torch.full(shape, u, dtype=dtype),
        )
        for n, k in ((2, 1), (5, 2), (16, 8), (100, 30)):
            logits = (normal(50, n) * 4).to(dtype)
            draws = sample(logits, k, (), None)
            assert bool(((draws == 0) | (draws == 1)).all())
            assert bool((draws.sum(-1) == k).all())


def test_false_alarm_rate_is_as_stated():
    # Were the helper too lax, or too strict, by orders of magnitude.
    assert ALPHA == 2e-5
    logits, values = normal(4), listed(4, 2)
    draws = sample(logits, 2, (300, 200), seed(4))
    mass = poisson(logits, 2).exp()
    assert not any(wrong_frequencies(count_values(rows, values), mass) for rows in draws)
