"""Relaxations with wrong gradients."""

from __future__ import annotations

import torch

from relaxit.autograd import replace_gradient
from relaxit.categorical.distributions import LogConcrete, OneHot
from tests.testing.sound.choices import Choice, Concrete, Density, concrete_density


class DetachedKl(Choice):
    """A divergence without gradient: the prior plays no part in training."""

    caught_by = "discrete_gradients_are_right"

    def kl_to_uniform(self, params):
        return super().kl_to_uniform(params.detach())


class _Unguarded(OneHot):
    def entropy(self):
        return -(self.probs * self.probs.log()).sum(-1)


class UnguardedEntropy(Choice):
    """``p log p`` that ignores the case p = 0."""

    caught_by = "extremes_are_finite"

    def discrete(self, params):
        return _Unguarded(self, params)


class HalfDetachedDensity(Density):
    """A density that is right, with a gradient that is not."""

    caught_by = "log_prob_gradients_are_right"

    def log_prob(self, params, temperature, value):
        return concrete_density((params + params.detach()) / 2, temperature, value)


class _HalfGradient(LogConcrete):
    def rsample(self, sample_shape=torch.Size(), generator=None):
        half = LogConcrete((self.params + self.params.detach()) / 2, self.temperature)
        return half.rsample(sample_shape, generator)


class HalfTheLogSpaceGradient(Concrete):
    """Log-space samples with half their gradient: the relaxed objective trains on them."""

    caught_by = "log_space_gradients_are_right"

    def log_space(self, params, temperature):
        return _HalfGradient(params, temperature)

    def log_prob(self, params, temperature, value):
        return Concrete(categories=3).log_prob(params, temperature, value)


class DetachedTemperature(Choice):
    """No gradient reaches a temperature that is learned."""

    caught_by = "sample_gradients_are_right"

    def relax(self, scores, temperature):
        kept = temperature.detach() if isinstance(temperature, torch.Tensor) else temperature
        return super().relax(scores, kept)


class HalfTheGradient(Choice):
    """Half of the pathwise gradient, by a detach in the wrong place."""

    caught_by = "sample_gradients_are_right"

    def relax(self, scores, temperature):
        return super().relax((scores + scores.detach()) / 2, temperature)


class DrawLosesGradient(Choice):
    """The soft value of a draw has half the gradient of `rsample`."""

    caught_by = "straight_through_is_exact"

    def draw(self, params, temperature, shape=torch.Size(), generator=None):
        return super().draw((params + params.detach()) / 2, temperature, shape, generator)


class ThroughAnotherDraw(Choice):
    """A shortcut for straight-through values that takes the gradient at other noise."""

    caught_by = "straight_through_is_exact"

    def straight_through(self, params, temperature, shape=torch.Size(), generator=None):
        hard = self.draw(params, temperature, shape, generator)[1]
        return replace_gradient(hard, self.rsample(params, temperature, shape, generator))


class ThroughOfTheSoftValue(Choice):
    """The same, rounded from the soft value by a sum that misses the vertex."""

    caught_by = "straight_through_is_exact"

    def straight_through(self, params, temperature, shape=torch.Size(), generator=None):
        soft, hard = self.draw(params, temperature, shape, generator)
        return hard + soft - soft.detach()


BROKEN = [
    DetachedKl(),
    UnguardedEntropy(),
    HalfDetachedDensity(categories=3),
    HalfTheLogSpaceGradient(categories=3),
    DetachedTemperature(),
    HalfTheGradient(),
    DrawLosesGradient(),
    ThroughAnotherDraw(),
    ThroughOfTheSoftValue(),
]
