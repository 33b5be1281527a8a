"""Schedules of the temperature, and the ramp and the decay of other numbers."""

import itertools
import math

import pytest

from relaxit.errors import ConfigurationError
from relaxit.training.schedules import KINDS, cosine_decay, ramp, temperature_schedule


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("initial", "final"), [(1.0, 0.5), (2.0, 0.1), (0.7, 0.7)])
def test_starts_at_initial_falls_and_never_passes_final(kind, initial, final):
    tau = temperature_schedule(kind, initial, final, steps=100)
    values = [tau(step) for step in range(300)]
    assert values[0] == pytest.approx(initial)
    assert all(b <= a + 1e-12 for a, b in itertools.pairwise(values))
    assert min(values) >= final - 1e-12
    if kind not in ("constant", "learned"):
        assert (values[100], values[-1]) == pytest.approx((final, final))


def test_exponential_is_the_published_formula_in_the_global_step():
    tau = temperature_schedule("exponential", 1.0, 0.5, steps=10, rate=3e-5)
    for step in (0, 1, 599, 600, 6000, 50_000):
        assert tau(step) == pytest.approx(max(0.5, math.exp(-3e-5 * step)), rel=1e-12)


def test_linear_and_cosine_may_rise():
    for kind in ("linear", "cosine"):
        tau = temperature_schedule(kind, 0.5, 1.0, steps=10)
        assert (tau(0), tau(5), tau(10)) == pytest.approx((0.5, 0.75, 1.0))


def test_rising_exponential_is_rejected():
    with pytest.raises(ConfigurationError, match=r"final temperature 1\.0 > initial 0\.5"):
        temperature_schedule("exponential", 0.5, 1.0, steps=10)


def test_ramp_and_decay():
    assert [ramp(step, 4) for step in (0, 2, 4, 9)] == [0, 0.5, 1, 1]
    assert ramp(0, 0) == 1
    assert [round(cosine_decay(step, 4), 9) for step in (0, 2, 4, 9)] == [1, 0.5, 0, 0]
