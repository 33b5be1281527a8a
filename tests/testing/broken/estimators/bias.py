"""Estimators with a bias that they do not admit."""

from __future__ import annotations

import torch

from relaxit.estimators import checked_cost
from relaxit.estimators.pathwise import Pathwise
from tests.testing.sound.estimators import Drawn, ExactForOne, Score, Through


class _Factor(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(value, factor):
        return value.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.factor = inputs[1]

    @staticmethod
    def backward(ctx, grad):
        return ctx.factor * grad, None


class WrongSign(Through):
    """Ascends where it should descend (torch-imle#4)."""

    caught_by = "unbiased_as_claimed"

    def sample(self, q, sample_shape=(), generator=None):
        return _Factor.apply(super().sample(q, sample_shape, generator), -1.0)


class ForgottenFactor(Through):
    """A gradient that is not divided by its step (torch-imle#3)."""

    caught_by = "unbiased_as_claimed"

    def sample(self, q, sample_shape=(), generator=None):
        return _Factor.apply(super().sample(q, sample_shape, generator), 1.1)


class ForgottenFactorOfSoft(Pathwise):
    """The same for soft samples."""

    caught_by = "unbiased_as_claimed"

    def sample(self, q, sample_shape=(), generator=None):
        return _Factor.apply(super().sample(q, sample_shape, generator), 1.1)


class ClaimsQuadratic(Through):
    """Straight-through, with the claim of ReinMax."""

    caught_by = "unbiased_as_claimed"
    unbiased = "quadratic"


class OwnBaseline(Score):
    """The baseline holds the sample's own cost, without the factor that would correct it."""

    caught_by = "unbiased_as_claimed"

    def combine(self, f, log):
        score = ((f - f.mean(0)).detach() * log).mean(0)
        return f.mean(0) + score - score.detach()


class BatchMeanBaseline(Score):
    """The baseline is the mean cost of the batch, the sample's own included."""

    caught_by = "unbiased_in_small_batches"

    def evaluations(self, relaxation, variables=1):
        return 1

    def surrogate(self, q, cost, generator=None):
        z, cost = q.sample_hard((), generator), checked_cost(self.name, q, cost)
        f, log = cost(z), q.discrete.log_prob(z)
        log = log.flatten(f.dim()).sum(-1) if log.dim() > f.dim() else log
        score = (f - f.mean()).detach() * log
        return f + score - score.detach()


class FirstLatentOnly(Score):
    """Of several variables under one cost only the first is trained."""

    caught_by = "unbiased_in_small_batches"

    def surrogate(self, q, cost, generator=None):
        z, cost = q.sample_hard((2,), generator), checked_cost(self.name, q, cost)
        f = torch.stack([cost(z[0]), cost(z[1])])
        log = q.discrete.log_prob(z)
        log = log.flatten(f.dim())[..., 0] if log.dim() > f.dim() else log
        return self.combine(f, log)


class WrongSignUnclaimed(WrongSign):
    """The wrong sign, and no claim that could be broken."""

    caught_by = "points_the_right_way"
    unbiased = ""


class FixedSeed(Score):
    """The same draws at every step."""

    caught_by = "all_values_are_weighed"

    def surrogate(self, q, cost, generator=None):
        return super().surrogate(q, cost, torch.Generator(q.params.device).manual_seed(0))


class ThreefoldForTwo(ExactForOne):
    """Exact for one variable, and for two under one cost three times the gradient."""

    caught_by = "unbiased_in_small_batches"

    def of_several(self, q, cost, generator):
        value = super().of_several(q, cost, generator)
        return 3 * value - 2 * value.detach()


class FixedSeedForTwo(ExactForOne):
    """The same draws at every step, but only where a cost has several variables."""

    caught_by = "all_values_are_weighed"

    def of_several(self, q, cost, generator):
        return super().of_several(q, cost, torch.Generator(q.params.device).manual_seed(0))


class SlightlyOff(Drawn):
    """One part in ten thousand too long: no number of draws would show it."""

    caught_by = "unbiased_as_claimed"

    def given(self, q, hard, generator=None):
        return _Factor.apply(super().given(q, hard, generator), 1.0001)


BROKEN = [
    WrongSign(),
    ForgottenFactor(),
    ForgottenFactorOfSoft(),
    ClaimsQuadratic(),
    OwnBaseline(),
    BatchMeanBaseline(),
    FirstLatentOnly(),
    WrongSignUnclaimed(),
    FixedSeed(),
    ThreefoldForTwo(),
    FixedSeedForTwo(),
    SlightlyOff(),
]
