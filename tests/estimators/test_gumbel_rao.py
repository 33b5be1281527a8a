"""Gumbel-Rao: the mean of straight-through Gumbel given the draw, at lower variance."""

from __future__ import annotations

import pytest
import torch

import relaxit
from tests.estimators.costs import power_cost
from tests.estimators.draw_estimators import FIVE, GROUND, drawn, same_mean, slope_given, upstream
from tests.estimators.formulas import marginals, pull, rao
from tests.helpers import params_for, seed


@GROUND
def test_many_categories_or_few_draws_take_another_way_to_the_same(relaxation):
    # Jacobians are summed where that is the smaller tensor; soft values are kept elsewhere.
    params, cost = params_for(relaxation, 30), power_cost(relaxation, 2)
    hard = drawn(relaxation, params)
    for draws, chunk in ((3, 1), (3, 3), (40, 7), (40, 40)):
        rao_ = relaxit.estimator("gumbel-rao", draws=draws, chunk=chunk)
        got = slope_given(rao_, relaxation, params, hard, cost, 0.7)
        sizes = [chunk] * (draws // chunk) + [draws % chunk] * (draws % chunk > 0)
        want = rao(relaxation, params, hard, upstream(cost, hard), 0.7, sizes, seed(1))
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("temperature", [0.4, 1.0])
def test_gumbel_rao_has_the_mean_of_st_gumbel_at_lower_variance(temperature):
    params, cost = params_for(FIVE).expand(100_000, 5), power_cost(FIVE, 2)
    slopes = {}
    for name, options in {"st-gumbel": {}, "gumbel-rao": {"draws": 10}}.items():
        leaf = params.clone().requires_grad_()
        estimator = relaxit.estimator(name, **options)
        value = estimator.surrogate(FIVE(leaf, temperature), cost, seed(1)).sum()
        slopes[name] = torch.autograd.grad(value, leaf)[0]
    rough, smooth = slopes["st-gumbel"], slopes["gumbel-rao"]
    error = (rough.var(0) + smooth.var(0)).div(len(rough)).sqrt()
    assert bool(((rough.mean(0) - smooth.mean(0)).abs() < 4 * error).all())
    assert float(smooth.var(0).sum()) < 0.9 * float(rough.var(0).sum())
    assert bool((smooth.var(0) < rough.var(0)).all())
    assert not same_mean(1.1 * smooth, rough)


def test_given_the_draw_the_mean_is_that_of_the_scores_that_round_to_it():
    # By rejection: perturb freely and keep what has the given argmax.
    params, cost = params_for(FIVE), power_cost(FIVE, 3)
    scores = FIVE.perturb(params, torch.Size((60_000,)), seed(2))
    for chosen in (0, 3):
        hard = torch.eye(5, dtype=torch.float64)[chosen]
        g = upstream(cost, hard)
        kept = scores[scores.argmax(-1) == chosen]
        free = pull("category", marginals("category", kept / 0.5), g.expand(kept.shape)) / 0.5
        rows = params.expand(20_000, 5)
        given = slope_given(
            relaxit.estimator("gumbel-rao", draws=1), FIVE, rows, hard.expand(20_000, 5), cost, 0.5
        )
        assert len(kept) > 1000
        assert same_mean(free, given)
