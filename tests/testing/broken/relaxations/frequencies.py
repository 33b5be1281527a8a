"""Relaxations whose hard samples do not occur as often as their masses say."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from relaxit import noise
from relaxit.categorical.distributions import OneHot
from tests.testing.sound.choices import Choice

INEXACT = replace(Choice.capabilities, exact_rounding=False)


class ProbabilitiesAsLogits(Choice):
    """The discrete distribution takes probabilities for logits; samples do not."""

    caught_by = "draws_follow_the_mass"

    def discrete(self, params):
        return OneHot(self, params.softmax(-1))


class EpsInTheWeights(Choice):
    """Adds 1e-5 to the weights (NonProjectiveDependencyCRF): wrong where all weights are small."""

    caught_by = "draws_follow_the_mass"

    def discrete(self, params):
        eps = torch.full_like(params, math.log(1e-5))
        return OneHot(self, torch.logaddexp(params, eps))


class HalfTheNoise(Choice):
    """Gumbel noise of half the scale: another distribution of hard values."""

    caught_by = "draws_follow_the_mass"

    @staticmethod
    def noise(shape, **where):
        return noise.gumbel(shape, **where) / 2


class MassOfAnotherDistribution(Choice):
    """Samples of one distribution beside the mass of another (SIMPLE's second sampler)."""

    caught_by = "discrete_samples_follow_the_mass"
    capabilities = INEXACT

    def discrete(self, params):
        distribution, other = OneHot(self, 1.1 * params), OneHot(self, params)
        distribution.sample = other.sample
        return distribution


class ModestRounding(Choice):
    """Denies that rounding is exact although it is."""

    caught_by = "exact_rounding_is_denied_rightly"
    capabilities = INEXACT


class NoiseOfTheFirstRow(Choice):
    """Half the noise wherever params come in a batch."""

    caught_by = "rows_follow_their_own_mass"

    def perturb(self, params, shape, generator=None):
        scores = super().perturb(params, shape, generator)
        return scores if params.dim() == 1 else (scores + params) / 2


BROKEN = [
    ProbabilitiesAsLogits(),
    EpsInTheWeights(),
    HalfTheNoise(),
    MassOfAnotherDistribution(),
    ModestRounding(),
    NoiseOfTheFirstRow(),
]
