"""Relaxations with a broken density of soft samples."""

from __future__ import annotations

import math

import torch

from relaxit.categorical.distributions import LogConcrete
from relaxit.temperature import log_temperature
from tests.testing.sound.choices import Choice, Concrete, Density, concrete_density


class UnderflowToZero(Density):
    """Soft values that underflow to exactly 0, as torch's do."""

    caught_by = "log_prob_is_finite"

    def finish(self, soft, params):
        return soft


class ForgottenConstant(Density):
    """Leaves out lgamma(K)."""

    caught_by = "density_integrates_to_one"

    def log_prob(self, params, temperature, value):
        return super().log_prob(params, temperature, value) - math.lgamma(3)


class DensityOfAnotherDistribution(Density):
    """A density that integrates to one, of other params."""

    caught_by = "density_is_that_of_the_samples"

    def log_prob(self, params, temperature, value):
        return concrete_density(0.8 * params, temperature, value)


class _WithoutLogTau(LogConcrete):
    def log_prob(self, value):
        log = log_temperature(self.temperature, self.params.device)
        row = log.squeeze(-1) if isinstance(log, torch.Tensor) and log.dim() else log
        return super().log_prob(value) - 2 * row


class LogSpaceWithoutTemperature(Concrete):
    """Log-space density without its (K - 1) log tau."""

    caught_by = "log_space_agrees_with_log_prob"

    def log_space(self, params, temperature):
        return _WithoutLogTau(params, temperature)

    def log_prob(self, params, temperature, value):
        return Concrete(categories=3).log_prob(params, temperature, value)


class _Sharper(LogConcrete):
    def rsample(self, sample_shape=torch.Size(), generator=None):
        sharper = LogConcrete(self.params, 0.8 * self.temperature)
        return sharper.rsample(sample_shape, generator)


class LogSpaceOfAnotherDistribution(Concrete):
    """Log-space samples at another temperature than soft ones."""

    caught_by = "log_space_samples_are_the_soft_ones"

    def log_space(self, params, temperature):
        return _Sharper(params, temperature)


class _LogOfSoftmax(LogConcrete):
    def rsample(self, sample_shape=torch.Size(), generator=None):
        return super().rsample(sample_shape, generator).exp().log()


class LogOfSoftmax(Concrete):
    """The logarithm of an underflowed softmax in place of log_softmax."""

    caught_by = "log_space_is_finite"

    def log_space(self, params, temperature):
        return _LogOfSoftmax(params, temperature)


class DrawAtHalfTheTemperature(Choice):
    """The soft value of a draw, which estimators train through, at half the temperature."""

    caught_by = "draw_and_rsample_agree"

    def draw(self, params, temperature, shape=torch.Size(), generator=None):
        return super().draw(params, temperature / 2, shape, generator)


BROKEN = [
    UnderflowToZero(categories=3),
    ForgottenConstant(categories=3),
    DensityOfAnotherDistribution(categories=3),
    LogSpaceWithoutTemperature(categories=3),
    LogSpaceOfAnotherDistribution(categories=3),
    LogOfSoftmax(categories=3),
    DrawAtHalfTheTemperature(),
]
