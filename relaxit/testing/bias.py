"""Mean estimates of the gradient against the exact one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from relaxit.testing.case import EstimatorCase, countable
from relaxit.testing.check import ALPHA, estimator_check, require
from relaxit.testing.costs import Cost, equal_rows
from relaxit.testing.statistics import DRAWS, wrong_mean

__all__ = ["points_the_right_way", "unbiased_as_claimed", "unbiased_in_small_batches"]

_POWERS = {"": (), "linear": (1,), "quadratic": (1, 2), "any": (1, 2, 3)}


def _bias_unknown(case: EstimatorCase) -> str:
    if not case.estimator.unbiased:
        return "nothing is claimed"
    if not case.estimator.hard:  # the relaxed expectation needs no enumeration
        short = torch.finfo(case.on.dtype).bits < 32
        return "differences need float32 at least" if short else ""
    follows = case.estimator.exact_draw or case.relaxation.capabilities.exact_rounding
    return countable("discrete_law")(case) if follows else "its values have another law"


@estimator_check(false_alarm=3 * ALPHA, absent=_bias_unknown)
def unbiased_as_claimed(case: EstimatorCase) -> None:
    """At temperature 1 and for the claimed class of costs the mean of the estimates is the exact
    gradient: by enumeration over hard values, by differences of the mean cost over soft ones. Why:
    a wrong sign, a factor or a forgotten term still trains, badly."""
    for power in _POWERS[case.estimator.unbiased]:
        params = equal_rows(case, DRAWS // 2, seed=power)
        q = case.relaxation(params, 1.0)
        total = case.estimator.surrogate(q, Cost(case, power), case.generator(power)).sum()
        (estimates,) = torch.autograd.grad(total, params)
        exact, error = _by_enumeration(case, power) if case.estimator.hard else _soft(case, power)
        wrong = wrong_mean(estimates, exact, error)
        require(not wrong, f"costs of degree {power}: {wrong}")


def _by_enumeration(case: EstimatorCase, power: int) -> tuple[Tensor, Tensor]:
    """The exact gradient of the expected cost of a hard value, and no error."""
    params = case.on.params(seed=power).requires_grad_()
    expected = (case.on.masses(params) * Cost(case, power)(case.on.vertices)).sum()
    (exact,) = torch.autograd.grad(expected, params)
    return exact, torch.zeros_like(exact)


def _soft(case: EstimatorCase, power: int) -> tuple[Tensor, Tensor]:
    """Central differences of the mean cost of soft values on one noise, with standard error."""
    params, cost, step = case.on.params(seed=power), Cost(case, power), 1e-3
    slopes = torch.empty(DRAWS // 2, params.numel(), dtype=params.dtype, device=params.device)
    for i in range(params.numel()):
        ends = []
        for sign in (1, -1):
            moved = params.clone()
            moved.reshape(-1)[i] += sign * step
            soft = case.relaxation(moved, 1.0).sample((DRAWS // 2,), case.generator(99))
            ends.append(cost(soft))
        slopes[:, i] = (ends[0] - ends[1]) / (2 * step)
    error = slopes.std(0) / len(slopes) ** 0.5
    return slopes.mean(0).reshape(params.shape), error.reshape(params.shape)


def _several_unknown(case: EstimatorCase) -> str:
    if not case.estimator.hard:
        return "its values are soft"
    if absent := _bias_unknown(case):
        return absent
    return "" if len(case.on.vertices) <= 12 else "too many pairs of values"


@estimator_check(false_alarm=ALPHA, absent=_several_unknown, needs=("unbiased_as_claimed",))
def unbiased_in_small_batches(case: EstimatorCase) -> None:
    """So it is for a batch of two rows, with one cost for the two different variables of each row.
    Why: a model has several latents a picture, and a baseline that knows the sample's own cost is
    biased by the share of it in the batch."""
    params = torch.stack([case.on.params(2, seed=1), case.on.params(2, seed=2)])
    factors = params.new_tensor([[1.0, -2.0], [0.5, 1.5]])
    degree = max(_POWERS[case.estimator.unbiased])
    per_value = Cost(case, 1)

    def cost(z: Tensor) -> Tensor:
        total: Tensor = ((factors * per_value(z)).sum(-1) + 0.3) ** degree
        return total

    leaf, generator = params.clone().requires_grad_(), case.generator(3)
    estimates = []
    for _ in range(1000):
        total = case.estimator.surrogate(case.relaxation(leaf, 1.0), cost, generator).sum()
        estimates.append(torch.autograd.grad(total, leaf)[0])
        per_value.seen.clear()
        per_value.returned.clear()
    wrong = wrong_mean(torch.stack(estimates), _exact_of_pairs(case, params, cost))
    require(not wrong, wrong)


def _exact_of_pairs(
    case: EstimatorCase, params: Tensor, cost: Callable[[Tensor], Tensor]
) -> Tensor:
    """Gradient of the expected cost of two rows of two variables, over all pairs of values."""
    leaf, vertices = params.clone().requires_grad_(), case.on.vertices
    first, second = torch.cartesian_prod(*[torch.arange(len(vertices))] * 2).T
    log = case.relaxation.discrete(leaf).log_prob
    total = leaf.new_zeros(())
    for i, j in zip(first, second, strict=True):
        z = torch.stack([vertices[i], vertices[j]]).expand(2, 2, *case.relaxation.event_shape)
        total = total + (log(z).sum(-1).exp() * cost(z)).sum()
    (exact,) = torch.autograd.grad(total, leaf)
    return exact


def _direction_unknown(case: EstimatorCase) -> str:
    if case.estimator.unbiased:
        return "it claims more: to be unbiased"
    if not case.estimator.hard:
        return "its values are soft"
    return countable("discrete_law")(case)


@estimator_check(absent=_direction_unknown)
def points_the_right_way(case: EstimatorCase) -> None:
    """Where nothing is claimed, the mean estimate for a linear cost at temperature 1 has between a
    fifth and five times the exact gradient's length along it. Why: a wrong sign and a forgotten
    step size are no bias, they are mistakes."""
    params = equal_rows(case, DRAWS // 10, seed=1)
    total = case.estimator.surrogate(case.relaxation(params, 1.0), Cost(case, 1), case.generator(1))
    (estimates,) = torch.autograd.grad(total.sum(), params)
    exact, _ = _by_enumeration(case, 1)
    share = float((estimates.mean(0) * exact).sum() / exact.square().sum())
    require(0.2 < share < 5, f"along the exact gradient its mean is {share:.3g} times that one")
