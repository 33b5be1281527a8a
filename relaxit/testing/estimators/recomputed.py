"""Checks of estimators whose forward pass is computed a second time."""

from __future__ import annotations

import copy
from contextlib import suppress

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from relaxit.errors import RelaxitError
from relaxit.estimators import SampleEstimator, StatefulEstimator
from relaxit.testing.case import EstimatorCase
from relaxit.testing.check import estimator_check, require
from relaxit.testing.estimators.costs import pair_cost
from relaxit.testing.estimators.state import VARIABLES, fresh_state, train

__all__ = ["recomputed_samples_keep_their_gradient", "recomputed_states_keep_the_gradient"]


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

        def draw(theta: Tensor) -> Tensor:
            value: Tensor = estimator.sample(case.relaxation(theta, 0.7))
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


def _without_state(case: EstimatorCase) -> str:
    """Applies: a `StatefulEstimator`."""
    return "" if isinstance(case.estimator, StatefulEstimator) else "it keeps no state"


@estimator_check(absent=_without_state, needs=("state_is_trained",))
def recomputed_states_keep_the_gradient(case: EstimatorCase) -> None:
    """Under `torch.utils.checkpoint` an estimate with a state in training mode has the gradient
    that it has without it, or an error is raised. Why: the second pass finds a state that the first
    one updated, which gives another gradient, without an error."""
    estimator = case.estimator
    assert isinstance(estimator, StatefulEstimator)
    params = case.on.params(4, VARIABLES, dtype=case.on.usual_dtype).requires_grad_()
    trained = fresh_state(case)
    train(case, trained, seed=1)

    def gradient(state: nn.Module, recompute: bool) -> Tensor:
        def costs(theta: Tensor) -> Tensor:
            q = case.relaxation(theta, 1.0)
            return estimator.surrogate(q, pair_cost(case, 2), None, state)

        torch.manual_seed(5)
        value = checkpoint(costs, params, use_reentrant=False) if recompute else costs(params)
        (slope,) = torch.autograd.grad(value.mean(), params)
        return slope

    want = gradient(copy.deepcopy(trained), recompute=False)
    with suppress(RelaxitError, RuntimeError):  # torch.func raises the latter
        slope = gradient(trained, recompute=True)
        require(torch.allclose(slope, want, atol=1e-6), "the gradient is that of an updated state")
