"""Checks of estimators that take the draw as an argument, and sums over all values."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from relaxit.estimators import DrawEstimator
from relaxit.testing.case import EstimatorCase
from relaxit.testing.check import estimator_check, require
from relaxit.testing.estimators.costs import Cost

__all__ = [
    "expected_over_values",
    "given_keeps_the_value",
    "sample_is_that_of_given",
    "takes_draws",
]

REPEATS = 2000
"""Estimates per value, for an estimator that uses noise in addition to the draw."""
MOST_ROWS = 5000


def _takes_no_draws(case: EstimatorCase) -> str:
    """Applies: a `DrawEstimator`."""
    return (
        ""
        if isinstance(case.estimator, DrawEstimator)
        else "it has no given(), which takes the draw"
    )


@estimator_check(absent=_takes_no_draws)
def given_keeps_the_value(case: EstimatorCase) -> None:
    """`given` returns the hard sample itself, to the last bit, in every claimed dtype, for draws
    with sample dimensions, with one temperature per row and for tensors that are not contiguous; a
    gradient passes. Why: the cost is evaluated on it, and only on vertices is the bound one of the
    discrete model."""
    estimator, event = case.estimator, case.relaxation.event_shape
    assert isinstance(estimator, DrawEstimator)
    for dtype in case.on.dtypes:
        params = case.on.params(3, dtype=dtype).requires_grad_()
        rows = torch.tensor([0.3, 1.0, 5.0], dtype=dtype, device=case.device)
        for temperature in (0.7, rows):
            q = case.relaxation(params, temperature)
            for shape in ((), (2, 5)):
                hard = q.sample_hard(shape, case.generator(1))
                loose = hard.movedim(0, -1).contiguous().movedim(-1, 0)
                value = estimator.given(q, loose, case.generator(2))
                require(value.shape == (*shape, 3, *event), f"shape {list(value.shape)}")
                require(value.dtype == dtype, f"the value of {dtype} params is {value.dtype}")
                require(torch.equal(value, hard), f"the value is not the hard sample in {dtype}")
                require(value.requires_grad, f"no gradient passes in {dtype}")


@estimator_check(absent=_takes_no_draws, needs=("given_keeps_the_value",))
def sample_is_that_of_given(case: EstimatorCase) -> None:
    """The surrogate is the cost of `given` at a draw of `q.sample_hard` from the same generator, in
    value and gradient. Why: expectations are computed with `given`, and models are trained with the
    surrogate."""
    estimator = case.estimator
    assert isinstance(estimator, DrawEstimator)
    q, cost = case.relaxation(case.on.params(20).requires_grad_(), 0.7), Cost(case, 3)
    surrogate = estimator.surrogate(q, cost, case.generator(1))
    generator = case.generator(1)
    given_cost = cost(estimator.given(q, q.sample_hard((), generator), generator))
    require(
        torch.equal(surrogate, given_cost), "the surrogate is not the cost of what given() returns"
    )
    first, second = (
        torch.autograd.grad(total.sum(), q.params)[0] for total in (surrogate, given_cost)
    )
    near = torch.allclose(first, second, rtol=1e-5, atol=case.on.tolerance)
    require(near, "the gradient of the surrogate is not that of given()")


def takes_draws(case: EstimatorCase) -> bool:
    """Whether the mean estimate can be computed as a sum over all values."""
    return isinstance(case.estimator, DrawEstimator) and case.on.dtype == torch.float64


def expected_over_values(
    case: EstimatorCase, params: Tensor, cost: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the mean estimate over all joint values of ``params``, and its standard error.

    The error is 0 where :meth:`relaxit.DrawEstimator.given` uses no noise of its own.

    Args:
        case: case of an estimator that takes draws.
        params: ``[rows, variables, *param_shape]``. Each row has one cost, and all rows go through
            the same values, each with its own mass.
        cost: maps ``[M, rows, variables, *event]`` to ``[M, rows]``.
    """
    estimator = case.estimator
    assert isinstance(estimator, DrawEstimator)
    variables = params.shape[1]
    which = torch.cartesian_prod(*[torch.arange(len(case.on.vertices))] * variables)
    joint = case.on.vertices[which.reshape(-1, variables)]  # [V, variables, *event]
    every = joint.unsqueeze(1).expand(-1, len(params), *joint.shape[1:])  # [V, rows, ...]
    mass = case.relaxation.discrete(params).log_prob(every).sum(-1).exp()  # [V, rows]

    def slopes(hard: Tensor, seed: int) -> Tensor:
        leaf = params.expand(len(hard), *params.shape).clone().requires_grad_()
        value = estimator.given(case.relaxation(leaf, 1.0), hard, case.generator(seed))
        return torch.autograd.grad(cost(value).sum(), leaf)[0]

    weights = mass.reshape(*mass.shape, *(1,) * (params.dim() - 1))
    gradients = slopes(every, 1)
    if torch.equal(gradients, slopes(every, 2)):
        return (weights * gradients).sum(0), torch.zeros_like(params)
    repeats = min(REPEATS, MOST_ROWS // every[..., 0].numel() or 1)
    repeated = slopes(every.repeat_interleave(repeats, 0), 3).unflatten(0, (len(every), repeats))
    error = (weights.square() * repeated.var(1) / repeats).sum(0).sqrt()
    return (weights * repeated.mean(1)).sum(0), error
