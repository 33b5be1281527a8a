"""Checks that compare mean gradient estimates with the exact gradient."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from relaxit.testing.case import EstimatorCase, countable
from relaxit.testing.check import ALPHA, estimator_check, require
from relaxit.testing.estimators.costs import Cost, equal_rows, pair_cost, powers_claimed
from relaxit.testing.estimators.draws import expected_over_values, takes_draws
from relaxit.testing.estimators.evaluations import draws_nothing, numbers_of_variables
from relaxit.testing.statistics import DRAWS, wrong_estimate, wrong_mean

__all__ = [
    "all_values_are_weighed",
    "exact_of_pairs",
    "points_the_right_way",
    "unbiased_as_claimed",
    "unbiased_in_small_batches",
]

SMALL_BATCHES = 5000
SEGMENT = 0.5
"""Half the length of the segments of params over which differences are taken."""


def _bias_unknown(case: EstimatorCase) -> str:
    """Applies: `unbiased` claimed; hard samples follow the masses, values can be listed."""
    if not case.estimator.unbiased:
        return "unbiased is not claimed"
    if not case.estimator.hard:  # the relaxed expectation needs no enumeration
        short = torch.finfo(case.on.dtype).bits < 32
        return "finite differences need at least float32" if short else ""
    follows = case.estimator.exact_draw or case.relaxation.capabilities.exact_rounding
    return (
        countable("discrete_distribution")(case)
        if follows
        else "its hard samples follow another distribution"
    )


@estimator_check(false_alarm=3 * ALPHA, absent=_bias_unknown, needs=("sample_is_that_of_given",))
def unbiased_as_claimed(case: EstimatorCase) -> None:
    """At temperature 1 and for the claimed class of costs, the mean of the estimates is the exact
    gradient: from enumeration for hard samples, from differences of the mean cost for soft ones.
    For a `DrawEstimator` the mean is a sum over all values, without sampling error unless it uses
    further noise. Why: with a wrong sign, a wrong factor or a missing term, training still runs,
    but badly."""
    for power in powers_claimed(case):
        if not case.estimator.hard:
            wrong = _wrong_for_soft(case, power)
        elif takes_draws(case):
            params = case.on.params(1, 1, seed=power)
            mean, spread = expected_over_values(case, params, _of_one(Cost(case, power)))
            wrong = wrong_estimate(mean[0, 0], _by_enumeration(case, power), spread[0, 0])
        else:
            wrong = wrong_mean(_estimates(case, power, DRAWS // 2), _by_enumeration(case, power))
        require(not wrong, f"costs of degree {power}: {wrong}")


def _of_one(cost: Cost) -> Callable[[Tensor], Tensor]:
    """Return the cost of rows ``[M, rows, 1, *event]`` of one variable each."""
    return lambda z: cost(z)[..., 0]


def _estimates(case: EstimatorCase, power: int, number: int) -> Tensor:
    """Return this many estimates for one set of params, ``[number, *param_shape]``."""
    return _slopes_of(case, equal_rows(case, number, seed=power), Cost(case, power), power)


def _slopes_of(case: EstimatorCase, params: Tensor, cost: Cost, seed: int) -> Tensor:
    """Return an estimate for each row of params ``[M, *param_shape]``, which is a leaf."""
    q = case.relaxation(params, 1.0)
    total = case.estimator.surrogate(q, cost, case.generator(seed)).sum()
    return torch.autograd.grad(total, params)[0]


def _by_enumeration(case: EstimatorCase, power: int) -> Tensor:
    """Return the exact gradient of the expected cost of a hard sample."""
    params = case.on.params(seed=power).requires_grad_()
    expected = (case.on.masses(params) * Cost(case, power)(case.on.vertices)).sum()
    (exact,) = torch.autograd.grad(expected, params)
    return exact


def _wrong_for_soft(case: EstimatorCase, power: int) -> str:
    """Return what is wrong with estimates for soft samples; empty if nothing is.

    For each param, the difference quotient of the mean cost between the ends of a segment is
    compared with the mean estimate at random points of the segment. They are equal whatever the
    curvature is. So the segment can be long, and where a sample jumps, many draws show it.
    """
    params, cost, number = case.on.params(seed=power), Cost(case, power), DRAWS // 2
    places = torch.rand(
        number, dtype=params.dtype, device=case.device, generator=case.generator(98)
    )
    places = (2 * places - 1).reshape(-1, *(1,) * params.dim())
    slopes, estimates = (params.new_empty(number, params.numel()) for _ in range(2))
    for i in range(params.numel()):
        along = torch.zeros_like(params)
        along.reshape(-1)[i] = SEGMENT
        ends = [
            cost(case.relaxation(end, 1.0).sample((number,), case.generator(99)))
            for end in (params + along, params - along)
        ]
        slopes[:, i] = (ends[0] - ends[1]) / (2 * SEGMENT)
        rows = (params + places * along).requires_grad_()
        estimates[:, i] = _slopes_of(case, rows, cost, power).reshape(number, -1)[:, i]
    return wrong_mean(estimates, slopes.mean(0), slopes.std(0) / number**0.5)


def _several_unknown(case: EstimatorCase) -> str:
    """Applies: as `unbiased_as_claimed`, for drawn hard samples; at most 12 values."""
    if not case.estimator.hard:
        return "its samples are soft"
    if absent := _bias_unknown(case):
        return absent
    if len(case.on.vertices) > 12:
        return "too many pairs of values"
    return "it draws no samples: all values are enumerated" if draws_nothing(case, 2) else ""


@estimator_check(
    false_alarm=ALPHA,
    absent=_several_unknown,
    needs=("unbiased_as_claimed", "vmap_of_estimates"),
)
def unbiased_in_small_batches(case: EstimatorCase) -> None:
    """The mean of the estimates is also the exact gradient in a batch of two rows, with one cost
    for the two different variables of each row. Why: a model has several latents per image, and a
    baseline that includes the sample's own cost is biased by the share of that cost in the
    batch."""
    params, cost = case.on.params(2, 2, seed=1), pair_cost(case)
    exact = exact_of_pairs(case, params, cost)
    if takes_draws(case):
        mean, spread = expected_over_values(case, params, cost)
        wrong = wrong_estimate(mean, exact, spread)
    else:
        wrong = wrong_mean(_small_batches(case, params, cost), exact)
    require(not wrong, wrong)


def _small_batches(case: EstimatorCase, params: Tensor, cost: Callable[[Tensor], Tensor]) -> Tensor:
    """Return estimates of SMALL_BATCHES independent batches."""

    def loss(a: Tensor) -> Tensor:
        return case.estimator.surrogate(case.relaxation(a, 1.0), cost).sum()

    batches = params.expand(SMALL_BATCHES, *params.shape).clone().requires_grad_()
    torch.manual_seed(3)
    total = torch.func.vmap(loss, randomness="different")(batches).sum()
    return torch.autograd.grad(total, batches)[0]


def exact_of_pairs(case: EstimatorCase, params: Tensor, cost: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the gradient of the expected cost of rows of two variables, over all pairs of values.

    Args:
        case: case whose values are enumerated.
        params: ``[rows, 2, *param_shape]``.
        cost: maps ``[M, rows, 2, *event]`` to ``[M, rows]``.
    """
    leaf, vertices = params.clone().requires_grad_(), case.on.vertices.to(params.dtype)
    pairs = torch.cartesian_prod(*[torch.arange(len(vertices))] * 2)
    z = vertices[pairs].unsqueeze(1).expand(-1, len(params), 2, *case.relaxation.event_shape)
    mass = case.relaxation.discrete(leaf).log_prob(z).sum(-1).exp()
    return torch.autograd.grad((mass * cost(z)).sum(), leaf)[0]


def _draws(case: EstimatorCase) -> str:
    """Applies: `hard`, and a cost of one variable or of two is evaluated on the same values for
    every seed."""
    if not any(draws_nothing(case, variables) for variables in numbers_of_variables(case)):
        return "it draws samples"
    return (
        "its samples are soft"
        if not case.estimator.hard
        else countable("discrete_distribution")(case)
    )


@estimator_check(absent=_draws)
def all_values_are_weighed(case: EstimatorCase) -> None:
    """Where the cost is evaluated on the same values for every seed, surrogate and gradient are
    exact: for one variable and for two under one cost, each on its own. Why: either all values are
    enumerated, or a seed was fixed and every step uses the same sample."""
    tolerance = max(case.on.tolerance, 1e-9)
    numbers = numbers_of_variables(case)
    if 1 in numbers and draws_nothing(case):
        for power in (1, 3):
            _require_weighed(case, power, tolerance)
    if 2 in numbers and len(case.on.vertices) <= 12 and draws_nothing(case, 2):
        params, pairs = case.on.params(2, 2, seed=1).requires_grad_(), pair_cost(case, 3)
        value = case.estimator.surrogate(case.relaxation(params, 1.0), pairs, case.generator(1))
        (slope,) = torch.autograd.grad(value.sum(), params)
        exact = exact_of_pairs(case, params.detach(), pairs)
        wrong = wrong_estimate(slope, exact, rounding=10 * tolerance)
        require(not wrong, f"two variables: {wrong}")


def _require_weighed(case: EstimatorCase, power: int, tolerance: float) -> None:
    """Fail unless value and gradient of a cost of one variable are exact."""
    params, cost = case.on.params(seed=power).requires_grad_(), Cost(case, power)
    value = case.estimator.surrogate(case.relaxation(params, 1.0), cost, case.generator(1))
    mass = case.on.masses(params.detach())
    off = float((value - (mass * Cost(case, power)(case.on.vertices)).sum()).abs())
    require(off <= 10 * tolerance * (1 + value.abs()), f"the expected cost is off by {off:.3g}")
    (slope,) = torch.autograd.grad(value, params)
    wrong = wrong_estimate(slope, _by_enumeration(case, power), rounding=tolerance)
    require(not wrong, f"costs of degree {power}: {wrong}")


def _direction_unknown(case: EstimatorCase) -> str:
    """Applies: `hard`, `unbiased` not claimed, values can be listed."""
    if case.estimator.unbiased:
        return "unbiased is claimed, which is more"
    if not case.estimator.hard:
        return "its samples are soft"
    return countable("discrete_distribution")(case)


@estimator_check(absent=_direction_unknown)
def points_the_right_way(case: EstimatorCase) -> None:
    """Where nothing is claimed, the mean estimate for a linear cost at temperature 1, projected
    onto the exact gradient, has between a fifth and five times its length. Why: a wrong sign or a
    forgotten step size is a mistake, not a bias."""
    mean = _estimates(case, 1, DRAWS // 20).mean(0)
    exact = _by_enumeration(case, 1)
    share = float((mean * exact).sum() / exact.square().sum())
    require(0.2 < share < 5, f"along the exact gradient the mean has {share:.3g} times its length")
