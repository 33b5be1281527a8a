"""Estimators with broken draws or counts of evaluations."""

from __future__ import annotations

import torch

from relaxit.autograd import replace_gradient
from relaxit.estimators.pathwise import Pathwise
from tests.testing.sound.estimators import Score, Through


class AnotherDraw(Through):
    """Claims an exact draw and draws from a sharper distribution."""

    caught_by = "values_follow_the_discrete_distribution"
    unbiased = ""

    def sample(self, q, sample_shape=(), generator=None):
        sharper = q.relaxation.discrete(1.1 * q.params.detach())
        value = sharper.sample(torch.Size(sample_shape), generator=generator)
        return replace_gradient(value, q.discrete.mean.expand(value.shape))


class AlwaysAtOne(Pathwise):
    """Samples at temperature 1, whatever the schedule says."""

    name, caught_by = "always-at-one", "soft_values_follow_the_relaxed_distribution"
    api = 1

    def sample(self, q, sample_shape=(), generator=None):
        return q.relaxation(q.params, 1.0).rsample(sample_shape, generator)


class CountsOnce(Score):
    """Says that two evaluations are one."""

    caught_by = "evaluations_are_those_claimed"

    def evaluations(self, relaxation, variables=1):
        return 1


class SharperDraws(Through):
    """Draws from a distribution of its own, and does not say so."""

    caught_by = "values_follow_the_draws"
    exact_draw, unbiased = False, ""

    def sample(self, q, sample_shape=(), generator=None):
        sharper = q.relaxation(1.2 * q.params.detach())
        value = sharper.draw(torch.Size(sample_shape), generator)[1]
        return replace_gradient(value, q.discrete.mean.expand(value.shape))


BROKEN = [
    AnotherDraw(),
    AlwaysAtOne(),
    CountsOnce(),
    SharperDraws(),
]
