"""Checks that compare frequencies of hard samples with masses of the discrete distribution."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit.testing.case import RelaxationCase, countable
from relaxit.testing.check import ALPHA, relaxation_check, require
from relaxit.testing.relaxations.discrete import SHIFT
from relaxit.testing.statistics import DRAWS, count_values, wrong_frequencies

__all__ = [
    "discrete_samples_follow_the_mass",
    "draws_follow_the_mass",
    "exact_rounding_is_denied_rightly",
    "rows_follow_their_own_mass",
]

_SAMPLES = ("masses_sum_to_one", "hard_in_vertices")


@relaxation_check(false_alarm=2 * ALPHA, absent=countable("discrete_distribution"), needs=_SAMPLES)
def discrete_samples_follow_the_mass(case: RelaxationCase) -> None:
    """Samples of the discrete distribution have the frequencies of its masses, also where weights
    are small. Why: if samples and masses belong to different distributions, every bound is
    wrong."""
    for params in (case.params(), case.params(seed=2) + SHIFT):
        q = case.relaxation(params)
        observed = count_values(q.sample_hard((DRAWS,), case.generator(1)), case.vertices)
        wrong = wrong_frequencies(observed, case.masses(params))
        require(not wrong, wrong)


def _worst_draw(case: RelaxationCase) -> str:
    """Return what is wrong with the hard samples of draws; empty if nothing is."""
    for params in (case.params(), case.params(seed=2) + SHIFT):
        hard = case.relaxation(params, 0.5).draw((DRAWS,), case.generator(1))[1]
        if wrong := wrong_frequencies(count_values(hard, case.vertices), case.masses(params)):
            return wrong
    return ""


@relaxation_check(
    false_alarm=2 * ALPHA,
    absent=countable("discrete_distribution", "exact_rounding"),
    needs=_SAMPLES,
)
def draws_follow_the_mass(case: RelaxationCase) -> None:
    """Where `exact_rounding` is claimed, the hard samples of `draw` have the frequencies of the
    masses. Why: only then does straight-through training sample the discrete model."""
    wrong = _worst_draw(case)
    require(not wrong, wrong)


def _second(case: RelaxationCase, batched: Tensor, draws: int) -> dict[str, Tensor]:
    """Return hard samples of the second of three repeated rows, by the methods that draw them."""
    q, row = case.relaxation(batched, 0.5), case.relaxation(batched[:3], 0.5)
    samples = {"sample_hard() of a batch": q.sample_hard((), case.generator(1))[1::3]}
    samples["sample_hard((M,)) of a batch"] = row.sample_hard((draws,), case.generator(2))[:, 1]
    if case.relaxation.capabilities.exact_rounding:
        samples["draw() of a batch"] = q.draw((), case.generator(3))[1][1::3]
        samples["draw((M,)) of a batch"] = row.draw((draws,), case.generator(4))[1][:, 1]
    return samples


@relaxation_check(
    false_alarm=8 * ALPHA,
    absent=countable("discrete_distribution"),
    needs=("discrete_samples_follow_the_mass", "draws_follow_the_mass", "noise_is_independent"),
)
def rows_follow_their_own_mass(case: RelaxationCase) -> None:
    """In a batch of different rows the hard samples of each row have the frequencies of its own
    masses, in the longest dtype and in float32. Why: the batches of a model have more than one
    row."""
    for dtype in {case.dtype, *(d for d in case.dtypes if d == torch.float32)}:
        rows = case.params(3, dtype=dtype)
        draws = DRAWS // 4  # by four methods and in two dtypes
        batched = torch.stack([-rows[2], rows[0], rows[1] + 1]).repeat(
            draws, *(1,) * len(case.relaxation.param_shape)
        )
        for method, hard in _second(case, batched, draws).items():
            observed = count_values(hard, case.vertices.to(dtype))
            wrong = wrong_frequencies(observed, case.masses(batched[1]))
            require(not wrong, f"{method}, {dtype}: {wrong}")


def _rounding_denied(case: RelaxationCase) -> str:
    """Applies: `discrete_distribution` claimed, `exact_rounding` denied, values can be listed."""
    if case.relaxation.capabilities.exact_rounding:
        return "exact_rounding is claimed"
    return countable("discrete_distribution")(case)


@relaxation_check(absent=_rounding_denied, needs=_SAMPLES)
def exact_rounding_is_denied_rightly(case: RelaxationCase) -> None:
    """Where `exact_rounding` is denied although there is a discrete distribution, the hard samples
    of some example do follow another distribution. Why: otherwise estimators avoid the relaxation
    unnecessarily."""
    countable_cases = [
        c for c in (case, *case.siblings()) if not countable("discrete_distribution")(c)
    ]
    complaint = f"{DRAWS} draws follow the masses: claim it, or add an example where they do not"
    require(any(_worst_draw(example) for example in countable_cases), complaint)
