"""Relaxations and estimators that depend on settings of the process."""

from __future__ import annotations

from functools import cached_property

import torch

from relaxit.arithmetic import without_autocast
from relaxit.autograd import replace_gradient
from relaxit.categorical.distributions import LogConcrete, OneHot
from tests.testing.sound.choices import Choice, Concrete
from tests.testing.sound.estimators import Score, Through


def times_one(soft):
    """A product with the unit matrix, in the precision of the process."""
    return (soft @ torch.eye(soft.shape[-1], dtype=soft.dtype, device=soft.device)).to(soft.dtype)


def heeds_the_switch_alone(x):
    """A product that knows of ``set_float32_matmul_precision``, and not of autocast."""
    precise = torch.get_float32_matmul_precision() == "highest"
    return times_one(x.unsqueeze(-1)).squeeze(-1) if precise else x


class _ListedOnTheDefaultDevice(OneHot):
    def _enumerate_support(self):
        return torch.eye(self.event_shape[0], dtype=self.params.dtype)


class ListedOnTheDefaultDevice(Choice):
    """A list of values that is created without a device."""

    caught_by = "defaults_change_nothing"

    def discrete(self, params):
        return _ListedOnTheDefaultDevice(self, params)


class _LogDensity(LogConcrete):
    def log_prob(self, value):
        return heeds_the_switch_alone(super().log_prob(value))


class ProductInLogSpace(Concrete):
    """A product in a distribution of its own, where the core does not disable autocast."""

    caught_by = "autocast_changes_nothing"

    def log_space(self, params, temperature):
        return _LogDensity(params, temperature)


class HeedsAutocastAlone(Choice):
    """A product under the matmul precision of the process, with autocast disabled."""

    caught_by = "matmul_precision_changes_nothing"

    def relax(self, scores, temperature):
        with without_autocast(scores):
            return times_one(super().relax(scores, temperature))


class RoundedSlope(torch.autograd.Function):
    """A product in the backward pass."""

    generate_vmap_rule = True

    @staticmethod
    def forward(soft):
        return soft.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, grad):
        return times_one(grad)

    @staticmethod
    def jvp(ctx, tangent):
        return tangent.clone()


class ShortBackward(Choice):
    """The value is right, and the gradient has three digits."""

    caught_by = "matmul_precision_changes_nothing"

    def relax(self, scores, temperature):
        return RoundedSlope.apply(super().relax(scores, temperature))


class ConstantOfTheDefaultDtype(Choice):
    """A factor of 0.1 in the default dtype of the process."""

    caught_by = "defaults_change_nothing"

    def relax(self, scores, temperature):
        tenth = torch.full((self.options.size,), 0.1, device=scores.device)
        return super().relax(tenth * scores * 10, temperature)


class LongEntropy(Choice):
    """An entropy that is float64 where that is the default."""

    caught_by = "defaults_change_nothing"

    def discrete(self, params):
        distribution = super().discrete(params)
        right = distribution.entropy
        distribution.entropy = lambda: right() * torch.ones(right().shape, device=params.device)
        return distribution


class ConstantOnTheDefaultDevice(Choice):
    """Zeros on the default device of the process."""

    caught_by = "defaults_change_nothing"

    def relax(self, scores, temperature):
        zeros = torch.zeros(self.options.size, dtype=scores.dtype)
        return super().relax(scores + zeros, temperature)


class KeepsATable(Choice):
    """A table that is kept, and is made at its first use, which may be in inference mode."""

    caught_by = "modes_change_nothing"

    @cached_property
    def table(self):
        return torch.ones(self.options.size, dtype=torch.float32, device="cpu")

    def relax(self, scores, temperature):
        return super().relax(scores * self.table.to(scores.device), temperature)


class ReadsWhatIsThere(Choice):
    """Uninitialised memory, taken for zeros: deterministic algorithms fill it."""

    caught_by = "modes_change_nothing"

    def relax(self, scores, temperature):
        there = torch.empty(self.options.size, dtype=torch.int64, device=scores.device)
        filled = there == torch.iinfo(torch.int64).max  # anything else is as good as 0 here
        return super().relax(scores.masked_fill(filled.cumsum(-1) == 1, 0.0), temperature)


class ScoreUnderAutocast(Score):
    """A product in the surrogate, where the core does not disable autocast."""

    caught_by = "autocast_keeps_estimates"

    def combine(self, f, log):
        return super().combine(f, heeds_the_switch_alone(log))


class SharesWithFewBits(Through):
    """A product under the matmul precision of the process, with autocast disabled."""

    caught_by = "matmul_precision_keeps_estimates"

    def sample(self, q, sample_shape=(), generator=None):
        hard, mean = q.sample_hard(sample_shape, generator), q.discrete.mean
        with without_autocast(mean):
            return replace_gradient(
                hard, (times_one(mean) if mean.dim() else mean).expand(hard.shape)
            )


class WeightsOnTheDefaultDevice(Through):
    """Ones on the default device of the process."""

    caught_by = "defaults_keep_estimates"

    def sample(self, q, sample_shape=(), generator=None):
        hard, mean = q.sample_hard(sample_shape, generator), q.discrete.mean
        return replace_gradient(
            hard, (mean * torch.ones(mean.shape, dtype=mean.dtype)).expand(hard.shape)
        )


class MeansInInference(Through):
    """The mean in place of a draw, in inference mode alone."""

    caught_by = "modes_keep_estimates"

    def sample(self, q, sample_shape=(), generator=None):
        hard = super().sample(q, sample_shape, generator)
        mean = q.discrete.mean.expand(hard.shape)
        return mean if torch.is_inference_mode_enabled() else hard


BROKEN = [
    ListedOnTheDefaultDevice(),
    ProductInLogSpace(categories=3),
    HeedsAutocastAlone(),
    ShortBackward(),
    ConstantOfTheDefaultDtype(),
    LongEntropy(),
    ConstantOnTheDefaultDevice(),
    KeepsATable(),
    ReadsWhatIsThere(),
    ScoreUnderAutocast(),
    SharesWithFewBits(),
    WeightsOnTheDefaultDevice(),
    MeansInInference(),
]
