"""Relaxations with broken noise, or a broken use of generators."""

from __future__ import annotations

import torch

from relaxit import noise
from relaxit.categorical.distributions import LogConcrete
from relaxit.dtypes import compute_dtype
from tests.testing.sound.choices import Choice, Concrete


class SeedsItself(Choice):
    """Starts from the same seed wherever no generator is given."""

    caught_by = "global_generator_is_used"

    def perturb(self, params, shape, generator=None):
        generator = generator or torch.Generator().manual_seed(0)
        return super().perturb(params, shape, generator)


class DeafToTheGenerator(Choice):
    """The discrete distribution's sample ignores ``generator=``."""

    caught_by = "generator_is_obeyed"

    def discrete(self, params):
        distribution = super().discrete(params)
        sample = distribution.sample
        distribution.sample = lambda shape=torch.Size(), generator=None: sample(shape)
        return distribution


class _DeafLogConcrete(LogConcrete):
    def sample(self, sample_shape=torch.Size(), generator=None):
        return super().sample(sample_shape)


class DeafInLogSpace(Concrete):
    """The sample without gradient in log space ignores ``generator=``."""

    caught_by = "generator_is_obeyed"

    def log_space(self, params, temperature):
        return _DeafLogConcrete(params, temperature)


class DrawsOnTheSide(Choice):
    """Consumes the global generator although another one is given."""

    caught_by = "generator_is_obeyed"

    def perturb(self, params, shape, generator=None):
        torch.rand(())
        return super().perturb(params, shape, generator)


class AnotherTemperatureWithoutGradient(Choice):
    """Evaluation without gradient skips a part (gumbel-sinkhorn drops tau with the noise)."""

    caught_by = "gradient_mode_changes_nothing"

    def relax(self, scores, temperature):
        return super().relax(scores, temperature if torch.is_grad_enabled() else temperature / 2)


class OneNoiseForTheBatch(Choice):
    """One draw of noise for all rows of a batch."""

    caught_by = "noise_is_independent"

    def perturb(self, params, shape, generator=None):
        one = shape + (1,) * (params.dim() - 1) + self.param_shape
        dtype = compute_dtype(params.dtype)
        drawn = self.noise(one, dtype=dtype, device=params.device, generator=generator)
        return params.to(drawn.dtype) + drawn


class MirroredNoise(Choice):
    """Antithetic noise for every second row, not asked for."""

    caught_by = "noise_is_independent"

    def perturb(self, params, shape, generator=None):
        dtype = compute_dtype(params.dtype)
        full = shape + params.shape
        u = noise.uniform(full, dtype=dtype, device=params.device, generator=generator)
        if params.dim() == 2:
            u[..., 1::2, :] = 1 - u[..., : u.shape[-2] // 2 * 2 : 2, :]
        return params.to(dtype) - (-u.log()).log()


class NormalisesTheBatch(Choice):
    """Scales scores by their spread over the whole batch."""

    caught_by = "rows_do_not_mix"

    def relax(self, scores, temperature):
        return super().relax(scores / scores.std().clamp(0.1, 10.0), temperature)


BROKEN = [
    SeedsItself(),
    DeafToTheGenerator(),
    DeafInLogSpace(categories=3),
    DrawsOnTheSide(),
    AnotherTemperatureWithoutGradient(),
    OneNoiseForTheBatch(),
    MirroredNoise(),
    NormalisesTheBatch(),
]
