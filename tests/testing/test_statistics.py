"""Statistical comparisons: each accepts what agrees, and detects what does not."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from relaxit.errors import ShapeError
from relaxit.testing import statistics
from relaxit.testing.statistics import (
    DRAWS,
    count_values,
    wrong_distribution,
    wrong_estimate,
    wrong_frequencies,
    wrong_mean,
    wrong_shares,
)


def test_count_finds_every_value_and_no_other():
    vertices = torch.eye(4).reshape(4, 2, 2)
    values = vertices[torch.tensor([0, 3, 3, 1])]
    assert count_values(values, vertices).tolist() == [1, 1, 0, 2]
    with pytest.raises(AssertionError, match="not among"):
        count_values(values * 0.999, vertices)
    assert count_values(torch.tensor([1.0, 0.0, 1.0]), torch.tensor([0.0, 1.0])).tolist() == [1, 2]


DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
SAMPLES = {
    "uniform": lambda g: torch.rand(100, 100, generator=g, dtype=torch.float64),
    "norm": lambda g: torch.randn(100, 100, generator=g, dtype=torch.float64),
}
WRONG = {
    "uniform": {
        "narrow": lambda x: 0.05 + 0.9 * x,
        "shifted": lambda x: x + 0.05,
        "skewed": lambda x: x**1.2,
        "few numbers": lambda x: (10 * x).floor() / 10,
        "other": lambda x: (0.5 * x + 0.25).logit(),
    },
    "norm": {
        "wide": lambda x: 1.2 * x,
        "shifted": lambda x: x + 0.1,
        "folded": torch.abs,
        "light tails": lambda x: x.clamp(-1.5, 1.5),
        "other": lambda x: math.sqrt(2) * torch.special.erf(x),
    },
}


def drawn(name, seed=0):
    return SAMPLES[name](torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", SAMPLES)
def test_a_right_distribution_is_accepted(name, seed, dtype):
    x = drawn(name, seed).to(dtype)
    assert wrong_distribution(x, name) == ""
    assert wrong_distribution(x, getattr(stats, name).cdf) == ""


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("name", "change"), [(name, change) for name, changes in WRONG.items() for change in changes]
)
def test_a_wrong_distribution_is_detected(name, change, dtype):
    x = WRONG[name][change](drawn(name)).to(dtype)
    assert "the distribution function is off by" in wrong_distribution(x, name)
    assert wrong_distribution(x, getattr(stats, name).cdf) == wrong_distribution(x, name)


def test_one_distribution_is_not_taken_for_another():
    assert wrong_distribution(drawn("uniform"), "norm")
    assert wrong_distribution(drawn("norm"), "uniform")


def test_the_message_says_where_a_distribution_is_off_and_by_how_much():
    x = torch.linspace(0.001, 0.999, 1000)
    said = "at 0.250 the distribution function is off by 0.25"
    assert wrong_distribution(x.square(), "uniform").startswith(said)


def test_a_distribution_is_compared_without_gradient_and_without_order():
    x = drawn("norm").requires_grad_()
    assert not wrong_distribution(x, "norm")
    assert not wrong_distribution(x.sort(0).values.mT, "norm")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_distribution_of_numbers_that_are_not_finite_is_wrong(bad):
    assert wrong_distribution(torch.full((10_000,), bad), "norm")
    x = drawn("norm").flatten()
    x[: len(x) // 10] = bad
    assert wrong_distribution(x, "norm")


def test_one_nan_is_enough():
    x = drawn("norm").flatten()
    x[17] = math.nan
    assert wrong_distribution(x, "norm")


def test_frequencies_see_what_they_state():
    p = torch.tensor([0.3, 0.7])
    generator = torch.Generator().manual_seed(0)

    def observed(share):
        hits = int((torch.rand(DRAWS, generator=generator) < share).sum())
        return torch.tensor([hits, DRAWS - hits])

    assert not wrong_frequencies(observed(0.3), p)
    assert wrong_frequencies(observed(0.3 * 1.04), p)
    assert "mass zero" in wrong_frequencies(torch.tensor([1, 5]), torch.tensor([0.0, 1.0]))
    assert not wrong_frequencies(torch.tensor([5]), torch.tensor([1.0]))


def test_rare_values_share_a_cell():
    p = torch.tensor([1 - 3e-6, 1e-6, 1e-6, 1e-6])
    assert not wrong_frequencies(torch.tensor([100_000, 0, 0, 0]), p)
    assert wrong_frequencies(torch.tensor([99_000, 500, 300, 200]), p)


def test_values_that_are_all_rare_are_compared_too():
    # 20 draws of each are expected; one half of the values has twice the mass of the other.
    generator = torch.Generator().manual_seed(0)
    even, uneven = torch.ones(1000), torch.cat([torch.ones(500), 2 * torch.ones(500)])

    def observed(p):
        return torch.bincount(
            torch.multinomial(p, 20_000, True, generator=generator), minlength=1000
        )

    assert not wrong_frequencies(observed(even), even)
    assert not wrong_frequencies(observed(uneven), uneven)
    assert wrong_frequencies(observed(uneven), even)
    assert not wrong_shares(observed(uneven), observed(uneven))
    assert wrong_shares(observed(uneven), observed(even))


@pytest.mark.parametrize("number", range(5))
def test_cells_of_rare_values_hold_enough(number):
    # Expected counts of any size, and of the least that leaves the last cell short.
    x = torch.rand(300, generator=torch.Generator().manual_seed(number), dtype=torch.float64)
    for expected in (150 * x, 49 * x, 10 * x[:13], torch.full((4,), 25.0), torch.tensor([99.0, 1])):
        cells = statistics.cells_of(expected.double(), 50)
        held = torch.bincount(cells, weights=expected.double())
        assert bool((held[1:] >= 50).all())
        assert held[0] >= 50 or expected[expected < 50].sum() < 50  # even all together
        frequent = cells[expected >= 50]
        assert len(frequent.unique()) == len(frequent)
        assert held.sum() == pytest.approx(float(expected.sum()))


@pytest.mark.parametrize(
    "compare",
    [
        lambda: wrong_frequencies(torch.tensor([5, 5]), torch.tensor([1.0])),
        lambda: wrong_frequencies(torch.ones(2, 2), torch.ones(2, 2)),
        lambda: wrong_shares(torch.ones(2), torch.ones(3)),
        lambda: wrong_mean(torch.rand(10, 3), torch.zeros(2)),
        lambda: wrong_mean(torch.rand(10, 3), 0.5, torch.zeros(2)),
        lambda: wrong_estimate(torch.zeros(3), torch.zeros(2)),
        lambda: count_values(torch.eye(3), torch.eye(2)),
    ],
)
def test_shapes_that_do_not_fit_are_errors(compare):
    with pytest.raises(ShapeError, match=r"\["):
        compare()


def test_shares_of_two_samples():
    generator = torch.Generator().manual_seed(0)

    def observed(*p):
        drawn = torch.multinomial(torch.tensor(p), DRAWS, True, generator=generator)
        return torch.bincount(drawn, minlength=len(p))

    even = observed(0.3, 0.7, 1e-5)
    assert not wrong_shares(even, observed(0.3, 0.7, 1e-5))
    assert "share 0.3" in wrong_shares(even, observed(0.32, 0.68, 1e-5))
    assert wrong_shares(torch.tensor([500, 500]), torch.tensor([1000, 0]))
    assert not wrong_shares(torch.tensor([9, 0]), torch.tensor([9, 0]))  # one value alone


def test_means_see_what_is_off():
    rows = torch.randn(10_000, 3, generator=torch.Generator().manual_seed(0))
    assert not wrong_mean(rows, torch.zeros(3))
    assert not wrong_mean(rows, 0.0)
    assert "should be 0.00000" in wrong_mean(rows + torch.tensor([0.0, 0.0, 0.1]), 0.0)
    assert wrong_mean(rows, torch.tensor([0.0, 0.06, 0.0]))
    assert not wrong_mean(rows, torch.tensor([0.0, 0.06, 0.0]), error=torch.tensor(0.05))
    assert not wrong_mean(torch.full((10, 2), 0.5), torch.full((2,), 0.5))  # without spread
    assert "finite" in wrong_mean(rows * torch.nan, torch.zeros(3))


def test_estimates_without_chance_are_held_to_nine_digits():
    one = torch.tensor([1.0, -2.0]).double()
    assert not wrong_estimate(one, one + 1e-10)
    assert wrong_estimate(one, one + 1e-8)
    assert not wrong_estimate(one, one + 1e-8, rounding=1e-6)
    assert not wrong_estimate(one, one + 0.1, error=torch.tensor([0.1, 0.1]))
    assert "finite" in wrong_estimate(one, one * torch.nan)
