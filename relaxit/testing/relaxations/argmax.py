"""Checks of `relax` and `argmax`, functions of scores, and that one is the limit of the other."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from relaxit.dtypes import compute_dtype
from relaxit.perturb import PerturbAndRelax
from relaxit.testing.case import RelaxationCase
from relaxit.testing.check import relaxation_check, require
from relaxit.testing.relaxations.randomness import random_state
from relaxit.testing.relaxations.scores import no_statistics, score

__all__ = [
    "argmax_maximises_the_score",
    "low_temperature_ends_at_the_argmax",
    "relax_depends_on_the_quotient",
    "tied_scores_give_a_vertex",
]

ROWS = 1000
LOW = 1e-3
NEAR = 1e-3
"""A soft value that is at most this far from a vertex, in each entry, is next to it."""


def _not_of_scores(case: RelaxationCase) -> str:
    """Applies: a `PerturbAndRelax`."""
    if isinstance(case.relaxation, PerturbAndRelax):
        return ""
    return "it is no PerturbAndRelax: there are no scores"


def _scores(case: RelaxationCase, number: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    """Return scores ``[number, *param_shape]`` in the dtype in which `relax` gets them."""
    return 3 * case.params(number, seed=seed).to(compute_dtype(dtype))


@relaxation_check(
    absent=_not_of_scores, needs=("low_temperature_gives_hard_values", "rows_do_not_mix")
)
def relax_depends_on_the_quotient(case: RelaxationCase) -> None:
    """`relax` depends only on the quotient of scores and temperature, whether the temperature is a
    number or a tensor: with both multiplied by three, soft values are the same up to 1e-4. Why: a
    squared temperature follows another schedule than the one that was set."""
    relaxation = cast(PerturbAndRelax, case.relaxation)
    scores = _scores(case, 50, case.dtype)
    for number in (0.05, 0.7, 4.0):
        ones = (1,) * len(relaxation.param_shape)
        aligned = torch.full((len(scores), *ones), number).to(scores)
        for kind, temperature in (("number", number), ("tensor", aligned)):
            soft = relaxation.relax(scores, temperature)
            off = float((relaxation.relax(3 * scores, 3 * temperature) - soft).abs().max())
            require(
                off <= 1e-4,
                f"with scores and temperature three times as large, soft values differ by "
                f"{off:.3g} (temperature {number}, a {kind})",
            )


def _not_in_float64(case: RelaxationCase) -> str:
    """Applies: float64."""
    return "" if case.dtype == torch.float64 else "in a shorter dtype scores may tie"


@relaxation_check(
    absent=_not_in_float64,
    needs=("draw_shares_its_noise", "hard_is_the_nearest_vertex", "argmax_maximises_the_score"),
)
def low_temperature_ends_at_the_argmax(case: RelaxationCase) -> None:
    """In float64 and at temperature 0.001, a soft value that is next to a vertex is next to the
    hard sample of its `draw`, and to the `argmax` of its scores, without exception. Why: hard
    values that are wrong in three draws of a hundred are those of another distribution, and look
    like rounding errors."""
    q = case.relaxation(3 * case.params(ROWS), LOW)
    pairs = {"the hard sample": q.draw((), case.generator(1))}
    if isinstance(case.relaxation, PerturbAndRelax):
        scores = _scores(case, ROWS, torch.float64, seed=1)
        pairs["argmax"] = case.relaxation.relax(scores, LOW), case.relaxation.argmax(scores)
    stays_soft = "low_temperature_gives_hard_values" in case.subject.expected_failures
    for name, (soft, hard) in pairs.items():
        near = _far(soft, case.relaxation.hard(soft)) <= NEAR
        comes_near = bool(near.any()) or stays_soft
        require(comes_near, f"no soft value of temperature {LOW} is next to a vertex")
        wrong = int((near & (_far(soft, hard) > NEAR)).sum())
        require(
            wrong == 0,
            f"{name} is not the vertex next to the soft value in {wrong} of {int(near.sum())} rows",
        )


def _far(values: Tensor, others: Tensor) -> Tensor:
    """Return the largest difference of the entries of each of two rows of values."""
    return (values - others).abs().reshape(len(values), -1).amax(1)


@relaxation_check(absent=_not_of_scores, needs=("ties_give_a_vertex",))
def tied_scores_give_a_vertex(case: RelaxationCase) -> None:
    """`argmax` of scores of zero, of equal ones and of ones that are equal in pairs is a vertex,
    the same in each call, without a random number, in float32 and float64. Why: without noise the
    scores of a new model tie, and so do those of half precision."""
    relaxation = cast(PerturbAndRelax, case.relaxation)
    for dtype in sorted({compute_dtype(dtype) for dtype in case.dtypes}, key=str):
        scores = _tied(case, dtype)
        before = random_state(case.device)
        best = relaxation.argmax(scores)
        drawn = not torch.equal(before, random_state(case.device))
        require(not drawn, "argmax of tied scores uses the random generator")
        torch.manual_seed(99)
        again = relaxation.argmax(scores)
        require(torch.equal(best, again), "argmax of tied scores differs from call to call")
        inside = bool(relaxation.vertices.check(best).all())
        require(inside, f"argmax of tied scores in {dtype} is not a vertex")


def _tied(case: RelaxationCase, dtype: torch.dtype) -> Tensor:
    """Return rows of scores that tie: all, in pairs, and many of them."""
    flat = _scores(case, 50, dtype).reshape(50, -1)
    pairs = flat[:, torch.arange(flat.shape[1], device=flat.device) // 2]
    rows = [torch.zeros_like(flat[:1]), flat[:, :1].expand_as(flat), pairs, pairs.flip(1)]
    return torch.cat([*rows, flat.sign()]).reshape(-1, *case.relaxation.param_shape)


def _no_best_score(case: RelaxationCase) -> str:
    """Applies: a `PerturbAndRelax`, `statistics` exist, values can be listed."""
    return _not_of_scores(case) or no_statistics(case)


@relaxation_check(absent=_no_best_score, needs=("tied_scores_give_a_vertex", "statistics_and_back"))
def argmax_maximises_the_score(case: RelaxationCase) -> None:
    """No value has a greater score `<scores, statistics(value)>` than `argmax(scores)`, also for
    scores that tie or almost tie, and for scores of ten thousand. Why: estimators that perturb
    scores need the best value, not a good one."""
    relaxation = cast(PerturbAndRelax, case.relaxation)
    dtype = compute_dtype(case.dtype)
    scores, noise = _scores(case, 200, dtype), _scores(case, 200, dtype, seed=1)
    listed = relaxation.statistics(case.vertices.to(dtype))
    levels = scores.round()
    kinds = {"random": scores, "tied": levels, "almost tied": levels + LOW * noise}
    kinds["large"] = 1e4 * scores
    for kind, tried in kinds.items():
        found = relaxation.statistics(relaxation.argmax(tried))
        best = score(case, tried, listed).amax(1)
        got = (tried * found).reshape(len(tried), -1).sum(1)
        excess = float(((best - got) / (1 + best.abs())).max())
        require(
            excess <= 10 * case.tolerance,
            f"with {kind} scores the score of a value exceeds that of argmax by {excess:.3g}",
        )
