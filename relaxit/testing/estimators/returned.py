"""Checks of what an estimator does with costs that are not tensors ``[*lead]``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from relaxit.estimators import SampleEstimator
from relaxit.relaxation import RelaxedDistribution
from relaxit.testing.case import EstimatorCase
from relaxit.testing.check import Failed, estimator_check, require
from relaxit.testing.estimators.costs import Cost

__all__ = [
    "costs_of_another_shape_are_rejected",
    "costs_that_are_no_numbers_are_rejected",
    "costs_without_gradient_are_rejected",
]


def _rejected(
    case: EstimatorCase,
    q: RelaxedDistribution,
    cost: Callable[[Tensor], Any],
    kind: type[Exception],
    what: str,
) -> None:
    """Fail unless the surrogate of a cost raises this error, on one line with its name."""
    try:
        case.estimator.surrogate(q, cost, case.generator(1))
    except kind as error:
        text, name = str(error), case.estimator.name
        require(name in text and "\n" not in text, f"{what}: no one line with {name!r}: {text}")
    except Exception as error:
        raise Failed(f"{what} raises no {kind.__name__}, but {error!r}") from error
    else:
        raise Failed(f"{what} is accepted")


@estimator_check()
def costs_of_another_shape_are_rejected(case: EstimatorCase) -> None:
    """A cost whose shape does not begin the batch shape, such as `[B, 1]` for `[B]`, raises a
    `ValueError` that names the estimator on one line. Why: a column would silently be broadcast
    against the rows, or be accepted by one estimator and not by the next."""
    q, cost = case.relaxation(case.on.params(4, 3).requires_grad_(), 0.7), Cost(case)
    odd: dict[str, Callable[[Tensor], Tensor]] = {
        "[4, 3, 1]": lambda z: cost(z).unsqueeze(-1),
        "[4, 1]": lambda z: cost(z).sum(-1, keepdim=True),
        "[3]": lambda z: cost(z).sum(0),
    }
    for shape, function in odd.items():
        what = f"a cost of shape {shape} for batch shape [4, 3]"
        _rejected(case, q, function, ValueError, what)


@estimator_check(needs=("estimates_repeat_on_a_seed",))
def costs_that_are_no_numbers_are_rejected(case: EstimatorCase) -> None:
    """A cost that returns None or a text raises a `TypeError` that names the estimator on one line.
    One that returns a list or an array of numbers does so too, or has the value that the tensor
    has. Why: environments return arrays, and an error from the depth of an estimator does not say
    what is wanted."""
    q, cost = case.relaxation(case.on.params(4).requires_grad_(), 0.7), Cost(case)
    nothing: dict[str, Callable[[Tensor], Any]] = {"None": lambda z: None, "a text": lambda z: "1"}
    for kind, function in nothing.items():
        _rejected(case, q, function, TypeError, f"a cost that returns {kind}")
    wanted = case.estimator.surrogate(q, cost, case.generator(1)).detach()
    numbers: dict[str, Callable[[Tensor], Any]] = {
        "a list": lambda z: cost(z).tolist(),
        "an array": lambda z: cost(z).detach().cpu().numpy(),
    }
    for kind, function in numbers.items():
        try:
            value = case.estimator.surrogate(q, function, case.generator(1))
        except TypeError:
            _rejected(case, q, function, TypeError, f"a cost that returns {kind}")
            continue
        near = torch.allclose(value.to(wanted), wanted, rtol=1e-5, atol=1e-6)
        require(near, f"a cost that returns {kind} has another value than the tensor")


def _acts_through_a_sample(case: EstimatorCase) -> str:
    """Applies: a `SampleEstimator`."""
    return "" if isinstance(case.estimator, SampleEstimator) else "it has no sample()"


@estimator_check(absent=_acts_through_a_sample, needs=("costs_that_are_no_numbers_are_rejected",))
def costs_without_gradient_are_rejected(case: EstimatorCase) -> None:
    """A cost that is detached from the sample, or an integer, raises a `ValueError` that names the
    estimator on one line. Why: the other terms of a loss hide that no gradient arrives."""
    q, cost = case.relaxation(case.on.params(4).requires_grad_(), 0.7), Cost(case)
    _rejected(case, q, lambda z: cost(z.detach()), ValueError, "a cost without a gradient")
    _rejected(case, q, lambda z: cost(z).long(), ValueError, "a cost of integers")
