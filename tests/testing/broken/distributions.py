"""Broken in the discrete law or in the density."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from relaxit import DiscreteDistribution, noise
from relaxit.categorical.distributions import LogConcrete, OneHot
from tests.testing.broken.sound import Choice, Concrete, Density, concrete_density

INEXACT = replace(Choice.capabilities, exact_rounding=False)


class _Law(OneHot):
    """A law whose parts can be replaced."""


class ProbabilitiesAsLogits(Choice):
    """The law takes probabilities where logits belong; samples do not."""

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
    """Gumbel noise of half the scale: another law of hard values."""

    caught_by = "draws_follow_the_mass"

    @staticmethod
    def noise(shape, **where):
        return noise.gumbel(shape, **where) / 2


class MassOfAnotherLaw(Choice):
    """Samples of one law beside the mass of another (SIMPLE's second sampler)."""

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


class _HeavyMass(_Law):
    def _log_prob(self, value):
        return super()._log_prob(value) + 1e-4


class MassesAboveOne(Choice):
    """Masses that sum to 1.0001."""

    caught_by = "masses_sum_to_one"

    def discrete(self, params):
        return _HeavyMass(self, params)


class _Twice(_Law):
    def _enumerate_support(self):
        values = super()._enumerate_support()
        return torch.cat([values, values[:1]])


class ValueTwice(Choice):
    """Lists a value twice."""

    caught_by = "masses_sum_to_one"
    log_cardinality = math.log(4)

    def discrete(self, params):
        return _Twice(self, params)

    def kl_to_uniform(self, params):
        return math.log(3) - self.discrete(params).entropy()


class EpsInTheMarginals(Choice):
    """Marginals of weights with an eps, beside exact masses."""

    caught_by = "marginals_by_enumeration"

    def discrete(self, params):
        return _Marginals(self, params)


class _Marginals(_Law):
    def _mean(self):
        total = self.scores.logsumexp(-1, keepdim=True)
        return super()._mean() * (total - math.log(1e-6)).sigmoid()


class _FirstMode(_Law):
    def _mode(self):
        return super()._mode().roll(1, -1)


class WrongMode(Choice):
    """The mode is the neighbour of the most probable value."""

    caught_by = "mode_by_enumeration"

    def discrete(self, params):
        return _FirstMode(self, params)


class _Bits(_Law):
    def entropy(self):
        return super().entropy() / math.log(2)


class EntropyInBits(Choice):
    """Entropy in bits, where nats are meant."""

    caught_by = "entropy_by_enumeration"

    def discrete(self, params):
        return _Bits(self, params)

    def kl_to_uniform(self, params):
        return math.log(self.options.size) - OneHot(self, params).entropy()

    log_cardinality = math.log(3)


class _Exchanged(_Law):
    def kl(self, other):
        return OneHot.kl(other, self)


class ExchangedKl(Choice):
    """KL(q, p) where KL(p, q) is asked for."""

    caught_by = "kl_by_enumeration"

    def discrete(self, params):
        return _Exchanged(self, params)


class KlWithTheWrongSign(Choice):
    """A KL term with its sign exchanged, copied for years (dev4488#1)."""

    caught_by = "kl_to_uniform_by_enumeration"

    def kl_to_uniform(self, params):
        return -super().kl_to_uniform(params)


class NotUniformAtZero(Choice):
    """A bias on the first choice: zero params are not the uniform law."""

    caught_by = "zero_params_are_uniform"

    def _biased(self, params):
        bias = torch.zeros(self.options.size, dtype=params.dtype, device=params.device)
        bias[0] = 0.1
        return params + bias

    def perturb(self, params, shape, generator=None):
        return super().perturb(self._biased(params), shape, generator)

    def discrete(self, params):
        return OneHot(self, self._biased(params))

    log_cardinality = math.log(3)


class WrongCardinality(Choice):
    """The logarithm of the number of values is off by one value."""

    caught_by = "cardinality_by_enumeration"
    log_cardinality = math.log(4)

    def kl_to_uniform(self, params):
        return math.log(3) - self.discrete(params).entropy()


class DetachedKl(Choice):
    """A divergence without gradient: the prior plays no part in training."""

    caught_by = "discrete_gradients_are_right"

    def kl_to_uniform(self, params):
        return super().kl_to_uniform(params.detach())


class _Unguarded(_Law):
    def entropy(self):
        return -(self.probs * self.probs.log()).sum(-1)


class UnguardedEntropy(Choice):
    """``p log p`` without a thought of p = 0."""

    caught_by = "extremes_are_finite"

    def discrete(self, params):
        return _Unguarded(self, params)


class MixesTheBatch(Choice):
    """A quantity of one row in which the others have a part."""

    caught_by = "batching_equals_looping"

    def kl_to_uniform(self, params):
        return super().kl_to_uniform(params) + (params.mean() - params.mean(-1)).tanh()


class CentresItsInput(Choice):
    """Centres params in place where no gradient forbids it."""

    caught_by = "inputs_are_not_mutated"

    def kl_to_uniform(self, params):
        if not params.requires_grad:
            params -= params.mean(-1, keepdim=True)
        return super().kl_to_uniform(params)


class BranchesOnValues(Density):
    """Looks into the value, which vmap cannot."""

    caught_by = "vmap_equals_looping"

    def log_prob(self, params, temperature, value):
        if bool((value > 1).any()):
            raise ValueError
        return super().log_prob(params, temperature, value)


class NoFloor(Density):
    """Soft values that underflow to exactly 0, as torch's do."""

    caught_by = "log_prob_is_finite"

    def finish(self, soft, params):
        return soft


class ForgottenConstant(Density):
    """Leaves out lgamma(K)."""

    caught_by = "density_integrates_to_one"

    def log_prob(self, params, temperature, value):
        return super().log_prob(params, temperature, value) - math.lgamma(3)


class DensityOfAnotherLaw(Density):
    """A density that integrates to one, of other params."""

    caught_by = "density_is_that_of_the_samples"

    def log_prob(self, params, temperature, value):
        return concrete_density(0.8 * params, temperature, value)


class HalfDetachedDensity(Density):
    """A density that is right, with a gradient that is not."""

    caught_by = "log_prob_gradients_are_right"

    def log_prob(self, params, temperature, value):
        return concrete_density((params + params.detach()) / 2, temperature, value)


class _WithoutLogTau(LogConcrete):
    def log_prob(self, value):
        return super().log_prob(value) - 2 * self._log_temperature()


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


class LogSpaceOfAnotherLaw(Concrete):
    """Log-space samples at another temperature than soft ones."""

    caught_by = "log_space_samples_are_the_soft_ones"

    def log_space(self, params, temperature):
        return _Sharper(params, temperature)


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


class UnlistedValues(Choice):
    """A law that lists no values, so that nothing is compared with enumeration."""

    caught_by = "values_can_be_listed"

    def discrete(self, params):
        return _Unlisted(self, params)


class _Unlisted(_Law):
    def _enumerate_support(self):
        return DiscreteDistribution._enumerate_support(self)


class CoarseEntropy(Choice):
    """An entropy that is worked out in bfloat16 unless params are float64."""

    caught_by = "float32_agrees_with_float64"

    def discrete(self, params):
        return _Coarse(self, params)


class _Coarse(_Law):
    def entropy(self):
        exact = super().entropy()
        return exact if exact.dtype == torch.float64 else 1.01 * exact


class _LogOfSoftmax(LogConcrete):
    def rsample(self, sample_shape=torch.Size(), generator=None):
        return super().rsample(sample_shape, generator).exp().log()


class LogOfSoftmax(Concrete):
    """The logarithm of an underflowed softmax in place of log_softmax."""

    caught_by = "log_space_is_finite"

    def log_space(self, params, temperature):
        return _LogOfSoftmax(params, temperature)


BROKEN = [
    ProbabilitiesAsLogits(),
    EpsInTheWeights(),
    HalfTheNoise(),
    MassOfAnotherLaw(),
    ModestRounding(),
    MassesAboveOne(),
    ValueTwice(),
    EpsInTheMarginals(),
    WrongMode(),
    EntropyInBits(),
    ExchangedKl(),
    KlWithTheWrongSign(),
    NotUniformAtZero(),
    WrongCardinality(),
    DetachedKl(),
    UnguardedEntropy(),
    MixesTheBatch(),
    CentresItsInput(),
    BranchesOnValues(categories=3),
    NoFloor(categories=3),
    ForgottenConstant(categories=3),
    DensityOfAnotherLaw(categories=3),
    HalfDetachedDensity(categories=3),
    LogSpaceWithoutTemperature(categories=3),
    LogSpaceOfAnotherLaw(categories=3),
    LogOfSoftmax(categories=3),
    HalfTheLogSpaceGradient(categories=3),
    UnlistedValues(),
    CoarseEntropy(),
]
