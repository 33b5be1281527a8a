"""Checks of estimators whose forward pass is computed a second time."""

from __future__ import annotations

import torch
from torch.utils.checkpoint import checkpoint

from relaxit.estimators import SampleEstimator
from relaxit.testing.case import EstimatorCase
from relaxit.testing.check import estimator_check, require

__all__ = ["recomputed_samples_keep_their_gradient"]


def _not_of_samples(case: EstimatorCase) -> str:
    """Applies: a `SampleEstimator`."""
    acts = isinstance(case.estimator, SampleEstimator)
    return "" if acts else "it does not act through a sample"


@estimator_check(absent=_not_of_samples, needs=("inputs_of_estimates_are_not_mutated",))
def recomputed_samples_keep_their_gradient(case: EstimatorCase) -> None:
    """Under `torch.utils.checkpoint`, which computes the forward pass again during the backward
    pass, sample and gradient are those without it. Why: randomness from a source that PyTorch does
    not restore gives the gradient of another sample, without an error."""
    estimator = case.estimator
    assert isinstance(estimator, SampleEstimator)
    results = []
    for recompute in (False, True):
        params = case.on.params(50).requires_grad_()

        def draw(theta: torch.Tensor) -> torch.Tensor:
            value: torch.Tensor = estimator.sample(case.relaxation(theta, 0.7))
            return value

        torch.manual_seed(3)
        value = checkpoint(draw, params, use_reentrant=False) if recompute else draw(params)
        weights = torch.linspace(-1, 1, value.numel(), dtype=value.dtype, device=value.device)
        torch.manual_seed(4)
        (gradient,) = torch.autograd.grad((value * weights.view_as(value)).sum(), params)
        results.append((value.detach(), gradient))
    (value, gradient), (again, slope) = results
    require(torch.equal(value, again), "the sample is another one")
    require(torch.allclose(gradient, slope, atol=1e-6), "the gradient is that of another sample")
