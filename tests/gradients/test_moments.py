"""The moments against arithmetic, and against what repeated samples of them average to."""

import math

import pytest
import torch

from relaxit.gradients.moments import of_all, of_draws, of_strata, summarise
from relaxit.testing import wrong_mean
from tests.helpers import seed

# Estimates with two values a stratum, and what is true of them.
VALUES = torch.tensor([[[1.0, 0.0], [3.0, 1.0]], [[0.0, 2.0], [1.0, -2.0]]], dtype=torch.float64)
MASS = torch.tensor([0.7, 0.3], dtype=torch.float64)
EXACT = torch.tensor([1.0, 0.5], dtype=torch.float64)
FLAT = VALUES.flatten(0, 1)
FLAT_MASS = MASS.repeat_interleave(2) / 2


def truth():
    return summarise([of_all(FLAT, FLAT_MASS, EXACT)])


def test_all_values_by_hand():
    found, mean = truth(), FLAT_MASS @ FLAT
    size = float(EXACT.square().sum())
    variance = float(FLAT_MASS @ (FLAT - mean).square().sum(-1)) / size
    assert math.isclose(found.bias, float((mean - EXACT).norm() / EXACT.norm()))
    assert math.isclose(found.variance, variance)
    assert math.isclose(found.mse, found.bias**2 + variance)
    assert (found.noise_level, found.mse_error, found.rows) == (0, 0, 4)
    cosines = [float(v @ EXACT / v.norm() / EXACT.norm()) for v in FLAT]
    assert math.isclose(found.cosine, sum(p * c for p, c in zip(FLAT_MASS, cosines, strict=True)))
    assert math.isclose(found.cosine_of_mean, float(mean @ EXACT / mean.norm() / EXACT.norm()))


def test_an_estimate_of_zero_has_a_cosine_of_zero():
    found = of_all(torch.zeros(1, 2), torch.ones(1), torch.ones(2))
    assert found.cosine == 0
    assert summarise([found]).mse == 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_counted_and_makes_no_figures(value):
    estimates = FLAT.clone()
    estimates[1, 0] = value
    stratum = torch.tensor([0, 0, 1, 1])
    kinds = [
        of_all(estimates, FLAT_MASS, EXACT),
        of_draws(estimates, EXACT),
        of_strata(estimates, stratum, MASS, EXACT),
    ]
    for found in kinds:
        assert found.not_finite == 1
        measures = summarise([found, of_draws(FLAT, EXACT)])
        assert not measures.finite
        assert not math.isfinite(measures.bias)
        assert not math.isfinite(measures.variance)
    assert truth().finite


def samples(kind: str, number: int):
    """Measures from a few draws each, over and over."""
    generator = seed(3)
    for _ in range(number):
        if kind == "draws":
            index = torch.multinomial(FLAT_MASS, 3, replacement=True, generator=generator)
            yield summarise([of_draws(FLAT[index], EXACT)])
        else:
            stratum = torch.tensor([0, 0, 0, 1, 1])
            which = torch.randint(2, (5,), generator=generator)
            yield summarise([of_strata(VALUES[stratum, which], stratum, MASS, EXACT)])


@pytest.mark.parametrize("kind", ["draws", "strata"])
def test_debiased_measures_average_to_the_truth(kind):
    # One t-test each of four means: 4 * ALPHA of false alarm, at fixed seeds.
    found, true = list(samples(kind, 2000)), truth()
    assert not wrong_mean(torch.tensor([each.bias_squared for each in found]), true.bias**2)
    assert not wrong_mean(torch.tensor([each.mse for each in found]), true.mse)
    raw = torch.tensor([each.mse - each.bias_squared for each in found])
    assert not wrong_mean(raw, true.variance)
    spread = torch.tensor([each.mse for each in found]).var()
    stated = torch.tensor([each.mse_error**2 for each in found])
    assert not wrong_mean(stated - spread, 0)


@pytest.mark.parametrize("kind", ["draws", "strata"])
def test_the_uncertainty_is_the_spread_of_the_mean(kind):
    generator, errors, uncertainties = seed(4), [], []
    for _ in range(2000):
        if kind == "draws":
            index = torch.multinomial(FLAT_MASS, 3, replacement=True, generator=generator)
            found = of_draws(FLAT[index], EXACT)
        else:
            stratum = torch.tensor([0, 0, 0, 1, 1])
            which = torch.randint(2, (5,), generator=generator)
            found = of_strata(VALUES[stratum, which], stratum, MASS, EXACT)
        errors.append(found.error - (FLAT_MASS @ FLAT - EXACT))
        uncertainties.append(found.uncertainty)
    squares = torch.stack(errors).square().sum(-1)
    assert not wrong_mean(squares - torch.tensor(uncertainties), 0)


def test_points_are_pooled_by_their_length():
    one = of_all(torch.tensor([[2.0]]), torch.ones(1), torch.tensor([1.0]))  # off by 1 of 1
    ten = of_all(torch.tensor([[10.0]]), torch.ones(1), torch.tensor([10.0]))  # right
    assert math.isclose(summarise([one, ten]).mse, 1 / 101)
    assert summarise([one, ten]).cosine == 1


def test_chance_exceeds_the_noise_level_once_in_a_hundred_cases():
    # Of one entry, where the bound is reached; 1000 draws, so that the mean is normal enough.
    exact, above, cases = torch.ones(1, dtype=torch.float64), 0, 2000
    for estimates in torch.randn(cases, 1000, 1, generator=seed(5), dtype=torch.float64) + 1:
        found = summarise([of_draws(estimates, exact)])
        above += found.bias > found.noise_level
    # Binomial, p = 0.01: a probability of less than ALPHA on either side.
    assert 4 <= above <= 42


@pytest.mark.parametrize("size", [1.0, 1e-150, 1e-250, 1e-306, 0.0])
def test_cosine_of_any_size(size):
    exact = torch.tensor([3.0, -4.0], dtype=torch.float64)
    estimates = size * torch.tensor([[4.0, 3.0], [3.0, -4.0], [-1.0, 0.0]], dtype=torch.float64)
    want = torch.tensor([0.0, 1.0, -0.6], dtype=torch.float64) * (size > 0)
    certain = torch.ones(1, dtype=torch.float64)  # each estimate by itself
    found = [of_all(one.unsqueeze(0), certain, exact).cosine for one in estimates]
    torch.testing.assert_close(torch.tensor(found, dtype=torch.float64), want)
