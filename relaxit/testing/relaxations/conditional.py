"""Checks of perturbed scores given a hard sample, for relaxations that claim to draw them."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from relaxit.dtypes import compute_dtype
from relaxit.perturb import PerturbAndRelax
from relaxit.testing.case import RelaxationCase, claims, countable, varies
from relaxit.testing.check import ALPHA, relaxation_check, require
from relaxit.testing.relaxations.capabilities import masked_params
from relaxit.testing.relaxations.gradients import differentiable, extreme_params, no_differences
from relaxit.testing.relaxations.randomness import random_state, require_independence
from relaxit.testing.relaxations.support import require_in_support
from relaxit.testing.statistics import wrong_mean

__all__ = [
    "given_scores_are_reparametrised",
    "given_scores_belong_to_their_vertex",
    "given_scores_follow_perturb",
    "given_scores_have_their_own_noise",
    "given_scores_obey_masks",
    "vmap_of_given_scores",
]

ROWS = 50_000
_BELONG = ("given_scores_belong_to_their_vertex",)


def _given(
    case: RelaxationCase, params: Tensor, hard: Tensor, *shape: int, seed: int = 1
) -> Tensor:
    relaxation = cast(PerturbAndRelax, case.relaxation)
    scores: Tensor = relaxation.perturb_given(params, hard, torch.Size(shape), case.generator(seed))
    return scores


def _share(case: RelaxationCase, scores: Tensor, hard: Tensor) -> float:
    """Return the share of the scores whose argmax is the hard sample."""
    relaxation = cast(PerturbAndRelax, case.relaxation)
    best = relaxation.argmax(scores)
    rank = len(case.relaxation.event_shape)
    same = best == hard.to(best.dtype)
    return float((same.flatten(-rank).all(-1) if rank else same).double().mean())


@relaxation_check(absent=countable("conditional"))
def given_scores_belong_to_their_vertex(case: RelaxationCase) -> None:
    """`perturb_given` returns `shape + lead + batch + param` scores, at least float32, whose
    `argmax` is always the given vertex, in every claimed dtype; they are finite with params up to
    1e4. Why: an estimate at the scores of another vertex is an estimate for that vertex."""
    held, event = case.relaxation.capabilities, case.relaxation.event_shape
    lawful = held.discrete_distribution and held.exact_rounding
    require(lawful, "conditional is claimed without discrete_distribution and exact_rounding")
    listed = case.vertices[:30].unsqueeze(1)
    for dtype in case.dtypes:
        params = case.params(3, dtype=dtype)
        hard = listed.to(dtype).expand(-1, 3, *event)
        scores = _given(case, params, hard, 2, 10)
        expected = (2, 10, *hard.shape[:2], *case.relaxation.param_shape)
        require(scores.shape == expected, f"shape {list(scores.shape)}, not {list(expected)}")
        wide = scores.dtype == compute_dtype(dtype)
        require(wide, f"scores of {dtype} params are {scores.dtype}")
        share = _share(case, scores, hard)
        require(share == 1, f"argmax is the vertex in only {share:.2%} of draws ({dtype})")
        extreme = extreme_params(case, dtype)
        hard = listed.to(dtype).expand(-1, len(extreme), *event)
        scores = _given(case, extreme, hard, 10)
        require(bool(scores.isfinite().all()), f"not finite with params up to 1e4 ({dtype})")
        share, least = _share(case, scores, hard), 1.0 if dtype == torch.float64 else 0.99
        require(share >= least, f"with params up to 1e4 in only {share:.2%} of draws ({dtype})")


@relaxation_check(false_alarm=ALPHA, absent=countable("conditional"), needs=_BELONG)
def given_scores_follow_perturb(case: RelaxationCase) -> None:
    """With a vertex drawn from the discrete distribution, the scores given this vertex have the
    moments of those of `perturb`, and so have the soft samples computed from them. Why: a control
    variate whose mean is taken under another distribution causes bias."""
    relaxation = cast(PerturbAndRelax, case.relaxation)
    params = case.params()
    hard = case.relaxation(params).sample_hard((ROWS,), case.generator(1))
    given = _features(case, _given(case, params, hard, seed=2))
    free = _features(case, relaxation.perturb(params, torch.Size((ROWS,)), case.generator(3)))
    wrong = wrong_mean(given, free.mean(0), free.std(0) / ROWS**0.5)
    require(not wrong, wrong)


def _features(case: RelaxationCase, scores: Tensor) -> Tensor:
    """Return scores, their soft samples, and products of neighbouring entries, ``[ROWS, D]``."""
    relaxation = cast(PerturbAndRelax, case.relaxation)
    soft = relaxation.relax(scores, 0.7).reshape(ROWS, -1)
    flat = scores.reshape(ROWS, -1)
    products = [flat * flat.roll(1, -1), soft * soft.roll(1, -1), soft * flat.sum(-1, keepdim=True)]
    return torch.cat([flat, soft, flat.square(), soft.square(), *products], -1).double()


def _cannot_differ(case: RelaxationCase) -> str:
    """Applies: `conditional` claimed, values can be listed, float64, at most 200 params."""
    return countable("conditional")(case) or no_differences(case)


@relaxation_check(absent=_cannot_differ, needs=_BELONG)
def given_scores_are_reparametrised(case: RelaxationCase) -> None:
    """The gradient of `perturb_given` with respect to params agrees with finite differences on the
    same noise. Why: estimators differentiate it, and a detach in the wrong place causes bias."""
    hard = case.relaxation(case.params(2)).sample_hard((2,), case.generator(1))

    def scores(a: Tensor) -> Tensor:
        return _given(case, a, hard, 3)

    differentiable("perturb_given", scores, case.params(2).requires_grad_())


@relaxation_check(false_alarm=2 * ALPHA, absent=countable("conditional"), needs=_BELONG)
def given_scores_have_their_own_noise(case: RelaxationCase) -> None:
    """Scores given one vertex are uncorrelated between rows and between draws, repeat for the same
    seed, and use only the given generator. Why: estimates average over these draws, which does not
    help if one draw is shared."""
    zeros = torch.zeros_like(case.params())
    hard = case.vertices[-1].expand(20_000, 2, *case.relaxation.event_shape)
    before = random_state(case.device)
    rows = _given(case, zeros.expand(2, *zeros.shape), hard)
    require(torch.equal(before, random_state(case.device)), "the global generator was used as well")
    again = _given(case, zeros.expand(2, *zeros.shape), hard)
    require(torch.equal(rows, again), "the same seed gives different scores")
    require_independence(rows.transpose(0, 1), "two rows of perturb_given")
    require_independence(_given(case, zeros, hard[:, 0], 2), "two draws of perturb_given")
    relaxation = cast(PerturbAndRelax, case.relaxation)
    free = [relaxation.perturb_given(zeros, hard[:10, 0]) for _ in range(2)]
    require(not torch.equal(*free), "without a generator two calls give the same scores")


@relaxation_check(absent=varies("conditional", "masks"), needs=_BELONG)
def given_scores_obey_masks(case: RelaxationCase) -> None:
    """With a masked entry, scores given a vertex are not NaN, belong to the vertex, and give soft
    samples in the support with finite gradients. Why: 0 * inf and inf - inf are NaN and spread to
    the encoder."""
    relaxation = cast(PerturbAndRelax, case.relaxation)
    for masked, _ in masked_params(case):
        params = masked.clone().requires_grad_()
        hard = case.relaxation(masked).sample_hard((20,), case.generator(1))
        scores = _given(case, params, hard, 5)
        require(not bool(scores.isnan().any()), "a score with a mask is NaN")
        require(
            _share(case, scores.detach(), hard) == 1,
            "a score with a mask belongs to another vertex",
        )
        soft = relaxation.relax(scores, 0.5)
        require_in_support(case, soft.detach(), "a soft sample with a mask")
        (slope,) = torch.autograd.grad(soft.square().sum(), params)
        require(bool(slope.isfinite().all()), "a gradient with a mask is not finite")


@relaxation_check(absent=claims("conditional"), needs=_BELONG)
def vmap_of_given_scores(case: RelaxationCase) -> None:
    """Under `torch.func.vmap` with `randomness='same'`, scores given a vertex equal those of a
    loop. Why: ensembles of seeds are trained as one batch."""
    relaxation = cast(PerturbAndRelax, case.relaxation)
    params = case.params(3)
    hard = case.relaxation(params).sample_hard((), case.generator(1))

    def scores(a: Tensor, z: Tensor) -> Tensor:
        torch.manual_seed(5)
        given: Tensor = relaxation.perturb_given(a, z, torch.Size((2,)))
        return given

    batched = torch.func.vmap(scores, randomness="same")(params, hard)
    looped = torch.stack([scores(*row) for row in zip(params, hard, strict=True)])
    near = torch.allclose(batched, looped, rtol=1e-5, atol=case.tolerance)
    require(near, "scores under vmap differ from a loop")
