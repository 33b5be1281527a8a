"""Relaxations with broken perturbed scores given the hard sample."""

from __future__ import annotations

import torch

from tests.testing.sound.choices import GivenChoice


class SecondVertexOnly(GivenChoice):
    """Scores of the second vertex, whatever is given."""

    caught_by = "given_scores_belong_to_their_vertex"

    def perturb_given(self, params, hard, shape=torch.Size(), generator=None):
        return super().perturb_given(params, hard.roll(1, -1), shape, generator)


class WithoutItsLocation(GivenChoice):
    """Forgets that the largest score lies around the log-sum-exp of the logits: right up to a
    shift, and soft values do not show it."""

    caught_by = "given_scores_follow_perturb"

    def perturb_given(self, params, hard, shape=torch.Size(), generator=None):
        scores = super().perturb_given(params, hard, shape, generator)
        return scores - params.logsumexp(-1, keepdim=True)


class IndependentOthers(GivenChoice):
    """Draws the others anew until they are below, by a shift: another distribution."""

    caught_by = "given_scores_follow_perturb"

    def perturb_given(self, params, hard, shape=torch.Size(), generator=None):
        scores = super().perturb_given(params, hard, shape, generator)
        return scores - 0.1 * (1 - hard.to(scores.dtype))


class DetachedScores(GivenChoice):
    """No gradient reaches params."""

    caught_by = "given_scores_are_reparametrised"

    def perturb_given(self, params, hard, shape=torch.Size(), generator=None):
        scores = super().perturb_given(params, hard, shape, generator)
        return scores.detach() + 0 * params.masked_fill(params.isinf(), 0.0)


class OneNoiseForAllDraws(GivenChoice):
    """The same scores in every draw."""

    caught_by = "given_scores_have_their_own_noise"

    def perturb_given(self, params, hard, shape=torch.Size(), generator=None):
        scores = super().perturb_given(params, hard, torch.Size(), generator)
        return scores.expand(*shape, *scores.shape)


class ZeroTimesInfinity(GivenChoice):
    """A term that vanishes, if params are finite."""

    caught_by = "given_scores_obey_masks"

    def perturb_given(self, params, hard, shape=torch.Size(), generator=None):
        return super().perturb_given(params, hard, shape, generator) + 0 * params


class LooksAtTheVertex(GivenChoice):
    """Branches on the vertex."""

    caught_by = "vmap_of_given_scores"

    def perturb_given(self, params, hard, shape=torch.Size(), generator=None):
        if not bool(hard.any()):
            raise ValueError("no vertex")
        return super().perturb_given(params, hard, shape, generator)


BROKEN = [
    SecondVertexOnly(),
    WithoutItsLocation(),
    IndependentOthers(),
    DetachedScores(),
    OneNoiseForAllDraws(),
    ZeroTimesInfinity(),
    LooksAtTheVertex(),
]
