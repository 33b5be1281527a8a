"""The pathwise gradient is unbiased only where soft samples are continuous in params."""

from __future__ import annotations

import pytest

import relaxit
from relaxit.testing import cases, results
from relaxit.testing.toys import ThreeNumbers
from tests.testing.sound.choices import Choice, Density
from tests.testing.sound.follows import Follows


@pytest.mark.parametrize("continuous", [Choice(), Density(categories=3), ThreeNumbers()], ids=repr)
def test_the_pathwise_gradient_of_continuous_samples_is_unbiased(continuous):
    (result,) = verdict(continuous)
    assert result.outcome == "pass", result.reason


def test_the_bias_of_samples_that_jump_is_found():
    # No sample has a wrong derivative, so that steps of 1e-3 on the same noise show nothing.
    (result,) = verdict(Follows())
    assert result.outcome == "fail"
    assert "costs of degree 1: a mean is" in result.reason


def verdict(relaxation):
    (case,) = cases(relaxit.estimator("pathwise"), relaxations=[relaxation])
    return list(results(case, ["unbiased_as_claimed"]))
