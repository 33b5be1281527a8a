"""The control variate of ReinMax does not change its expectation."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

import relaxit
from relaxit.testing import ALPHA
from tests.estimators.costs import power_cost
from tests.estimators.draw_estimators import BINARY, FIVE, built, drawn, slope_given
from tests.helpers import params_for


@pytest.mark.parametrize("relaxation", [FIVE, BINARY], ids=repr)
def test_the_control_variate_has_mean_zero_given_the_draw(relaxation):
    params, cost = params_for(relaxation), power_cost(relaxation, 3)
    rows = params.expand(40_000, *params.shape)
    hard = drawn(relaxation, params).expand(40_000, *relaxation.event_shape)
    reinmax = slope_given(built("reinmax"), relaxation, rows[:1], hard[:1], cost, 1.0)
    many = slope_given(built("reinmax-cv"), relaxation, rows, hard, cost, 0.6).reshape(40_000, -1)
    off = (many.mean(0) - reinmax.flatten()).abs() / (many.std(0) / 200)
    assert bool((off < stats.norm.isf(ALPHA / 2 / many.shape[1])).all())
    assert float(many.std(0).min()) > 0.001  # there is noise, and it goes out
    off = relaxit.estimator("reinmax-cv", eta=0.0)
    plain = slope_given(off, relaxation, rows[:1], hard[:1], cost, 0.6)
    torch.testing.assert_close(plain, reinmax, rtol=1e-12, atol=1e-14)
