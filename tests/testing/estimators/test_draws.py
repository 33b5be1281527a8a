"""Expectations that the kit sums up agree with the means of many draws."""

from __future__ import annotations

import pytest
import torch

import relaxit
from relaxit.testing.case import EstimatorCase
from relaxit.testing.estimators.bias import exact_of_pairs
from relaxit.testing.estimators.costs import pair_cost
from relaxit.testing.estimators.draws import expected_over_values
from relaxit.testing.statistics import wrong_estimate, wrong_mean


@pytest.mark.parametrize("unbiased", [True, False])
def test_expectations_over_pairs_are_those_of_many_draws(unbiased):
    # The kit's exact sum against the mean of draws; a biased estimator must agree, too.
    estimator = relaxit.estimator("reinmax" if unbiased else "straight-through")
    case = EstimatorCase(estimator, relaxit.get("categorical", categories=3))
    params, cost = case.on.params(2, 2), pair_cost(case, 2)
    mean, error = expected_over_values(case, params, cost)
    assert not error.any()
    leaf = params.expand(50_000, *params.shape).clone().requires_grad_()
    total = estimator.surrogate(case.relaxation(leaf), cost, case.generator(1)).sum()
    assert not wrong_mean(torch.autograd.grad(total, leaf)[0], mean)
    assert bool(wrong_estimate(mean, exact_of_pairs(case, params, cost))) != unbiased
