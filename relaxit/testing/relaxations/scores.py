"""Checks of the score of a value, `<params, statistics(value)>`."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit.errors import Unsupported
from relaxit.testing.case import RelaxationCase, countable
from relaxit.testing.check import relaxation_check, require

__all__ = ["masses_are_those_of_the_scores", "no_statistics", "score", "statistics_and_back"]


def no_statistics(case: RelaxationCase) -> str:
    """Return why values have no statistics; empty if they have.

    Applies: `statistics` exist, values can be listed.
    """
    if absent := countable()(case):
        return absent
    try:
        case.relaxation.statistics(case.vertices[:1])
    except Unsupported:
        return "its values have no statistics: their score is not linear in params"
    return ""


def score(case: RelaxationCase, params: Tensor, statistics: Tensor) -> Tensor:
    """Return the score of each value under each params, ``[M, N]``.

    Args:
        case: case of the relaxation.
        params: ``[M, *param_shape]``.
        statistics: ``[N, *param_shape]``.
    """
    return params.reshape(len(params), -1) @ statistics.reshape(len(statistics), -1).mT


@relaxation_check(absent=no_statistics)
def statistics_and_back(case: RelaxationCase) -> None:
    """`statistics` of values has shape `[..., *param_shape]`; `from_statistics`, where it exists,
    gives the value back, and for the mean of statistics the mean of the values. Why: marginals are
    computed as the mean of statistics, and a wrong index gives those of another value."""
    relaxation, values = case.relaxation, case.vertices
    statistics = relaxation.statistics(values)
    expected = (len(values), *relaxation.param_shape)
    got = list(statistics.shape)
    require(statistics.shape == expected, f"statistics have shape {got}, not {list(expected)}")
    try:
        back = relaxation.from_statistics(statistics)
    except Unsupported:
        return
    require(torch.equal(back.to(values.dtype), values), "from_statistics gives another value")
    mean = relaxation.from_statistics(statistics.mean(0))
    off = float((mean - values.mean(0)).abs().max())
    require(
        off <= 10 * case.stored_tolerance,
        f"the mean of statistics does not give the mean of the values, off by {off:.3g}",
    )


@relaxation_check(
    absent=countable("exponential_family"), needs=("masses_sum_to_one", "statistics_and_back")
)
def masses_are_those_of_the_scores(case: RelaxationCase) -> None:
    """Where `exponential_family` is claimed, the log-mass of a value is its score plus a constant
    that depends on params only. Why: estimators that perturb the params of one value, and losses
    whose gradient is a difference of statistics, are wrong for other distributions."""
    relaxation, values = case.relaxation, case.vertices
    held = relaxation.capabilities.discrete_distribution
    require(held, "exponential_family is claimed without discrete_distribution")
    statistics = relaxation.statistics(values)
    params = torch.stack([f * case.params(seed=i) for i, f in enumerate((1, 3, 0.3, 10))])
    for row in params:
        log_mass = relaxation.discrete(row).log_prob(values)
        constant = log_mass - score(case, row.unsqueeze(0), statistics)[0]
        spread = float(constant.max() - constant.min())
        size = 1 + float(log_mass.abs().max())
        require(
            spread <= 10 * case.stored_tolerance * size,
            f"log-masses differ from scores by {spread:.3g} more for one value than for another",
        )
