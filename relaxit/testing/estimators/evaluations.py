"""Checks of the samples passed to the cost: how many there are, and their distribution."""

from __future__ import annotations

from contextlib import suppress

import torch

from relaxit.errors import Unsupported
from relaxit.estimators import DrawEstimator
from relaxit.testing.case import EstimatorCase, countable
from relaxit.testing.check import ALPHA, estimator_check, require
from relaxit.testing.estimators.costs import Cost, equal_rows, jointly, rows_of
from relaxit.testing.statistics import (
    DRAWS,
    count_values,
    wrong_frequencies,
    wrong_mean,
    wrong_shares,
)

__all__ = [
    "draws_nothing",
    "evaluations_are_those_claimed",
    "numbers_of_variables",
    "soft_values_follow_the_relaxed_distribution",
    "values_follow_the_discrete_distribution",
    "values_follow_the_draws",
]


def numbers_of_variables(case: EstimatorCase) -> list[int]:
    """Return the numbers of variables under one cost, of one and two, that are supported."""
    supported = []
    for variables in (1, 2):
        with suppress(Unsupported):
            case.estimator.check_joint(case.relaxation, variables)
            supported.append(variables)
    return supported


def draws_nothing(case: EstimatorCase, variables: int = 1) -> bool:
    """Whether a cost of so many variables is evaluated on the same values for every seed.

    It is if all values are enumerated. Whether they are may depend on the number of variables.
    """
    params = rows_of(case, 20, variables=variables)
    seen = []
    for seed in (1, 2):
        cost, q = Cost(case), case.relaxation(params, 1.0)
        case.estimator.surrogate(q, jointly(cost, variables), case.generator(seed))
        seen.append(cost.seen)
    same = len(seen[0]) == len(seen[1])
    return same and all(torch.equal(*pair) for pair in zip(*seen, strict=True))


@estimator_check()
def evaluations_are_those_claimed(case: EstimatorCase) -> None:
    """The cost is called as often as `evaluations` says, for one variable and for three variables
    under one cost. Why: estimators are compared at equal numbers of evaluations, which determine
    the cost of training."""
    for variables in (1, 3):
        try:
            case.estimator.check_joint(case.relaxation, variables)
        except Unsupported:
            continue
        q = case.relaxation(rows_of(case, 2, variables=variables).requires_grad_(), 0.7)
        cost = Cost(case)
        case.estimator.surrogate(q, jointly(cost, variables), case.generator(1)).sum().backward()
        claimed = case.estimator.evaluations(case.relaxation, variables)
        called = f"the cost of {variables} variables was evaluated {len(cost.seen)} times"
        require(len(cost.seen) == claimed, f"{called}, not {claimed}")


def _has_exact_draw(case: EstimatorCase) -> str:
    """Applies: `exact_draw` claimed, not a `DrawEstimator`; samples are drawn, values can be
    listed."""
    if not case.estimator.exact_draw:
        return "exact_draw is not claimed"
    if isinstance(case.estimator, DrawEstimator):
        return "its samples are those of q.sample_hard"  # see sample_is_that_of_given
    if absent := countable("discrete_distribution")(case):
        return absent
    return "it draws no samples: all values are enumerated" if draws_nothing(case) else ""


@estimator_check(false_alarm=2 * ALPHA, absent=_has_exact_draw, needs=("surrogate_is_the_cost",))
def values_follow_the_discrete_distribution(case: EstimatorCase) -> None:
    """Where `exact_draw` is claimed, the samples passed to the cost have the frequencies of the
    masses, and the mean of the surrogate is the expected cost. Why: only then is the reported ELBO
    one of the discrete model."""
    cost, params = Cost(case), equal_rows(case, DRAWS)
    value = case.estimator.surrogate(case.relaxation(params, 0.5), cost, case.generator(1))
    seen, mass = cost.seen[0], case.on.masses(params[0].detach())
    wrong = wrong_frequencies(count_values(seen, case.on.vertices), mass)
    require(not wrong, wrong)
    expected = (mass * Cost(case)(case.on.vertices)).sum()
    wrong = wrong_mean(value.detach(), expected)
    require(not wrong, f"the surrogate: {wrong}")


def _of_other_distribution(case: EstimatorCase) -> str:
    """Applies: `hard`, neither `exact_draw` nor `own_distribution`; values can be listed."""
    if not case.estimator.hard or case.estimator.exact_draw:
        return "its samples are soft, or exact draws"
    return "own_distribution is claimed" if case.estimator.own_distribution else countable()(case)


@estimator_check(
    false_alarm=ALPHA, absent=_of_other_distribution, needs=("cost_sees_the_claimed_values",)
)
def values_follow_the_draws(case: EstimatorCase) -> None:
    """Where neither `exact_draw` nor `own_distribution` is claimed, hard samples have the
    frequencies of those of `q.draw`. Why: an objective assumes that they follow the distribution
    whose divergence it uses."""
    cost, params = Cost(case), equal_rows(case, DRAWS)
    q = case.relaxation(params.detach(), 0.5)
    case.estimator.surrogate(q, cost, case.generator(1))
    drawn = q.draw((), case.generator(2))[1]
    hard = next(z for z in cost.seen if bool(case.relaxation.vertices.check(z).all()))
    wrong = wrong_shares(*(count_values(z, case.on.vertices) for z in (hard, drawn)))
    require(not wrong, wrong)


def _is_hard(case: EstimatorCase) -> str:
    """Applies: `hard` denied."""
    return "its samples are hard" if case.estimator.hard else ""


@estimator_check(false_alarm=2 * ALPHA, absent=_is_hard)
def soft_values_follow_the_relaxed_distribution(case: EstimatorCase) -> None:
    """Where `hard` is denied, the samples passed to the cost have the moments of soft samples at
    the given temperature. Why: a temperature schedule has no effect if the estimator ignores it."""
    row = case.on.params()
    params = row.expand(20_000, *row.shape)
    q, cost = case.relaxation(params, 0.3), Cost(case)
    case.estimator.surrogate(q, cost, case.generator(1))
    soft = q.sample((), case.generator(2)).double()
    for power in (1, 2):
        moment = soft**power
        wrong = wrong_mean(
            cost.seen[0].double() ** power, moment.mean(0), moment.std(0) / len(moment) ** 0.5
        )
        require(not wrong, wrong)
