"""Relaxations whose discrete distribution disagrees with enumeration."""

from __future__ import annotations

import math

import torch

from relaxit import DiscreteDistribution
from relaxit.categorical.distributions import OneHot
from tests.testing.sound.choices import Choice
from tests.testing.sound.orders import OrderWithoutDistribution


class _HeavyMass(OneHot):
    def _log_prob(self, value):
        return super()._log_prob(value) + 1e-4


class MassesAboveOne(Choice):
    """Masses that sum to 1.0001."""

    caught_by = "masses_sum_to_one"

    def discrete(self, params):
        return _HeavyMass(self, params)


class _Twice(OneHot):
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


class _Marginals(OneHot):
    def _mean(self):
        total = self.scores.logsumexp(-1, keepdim=True)
        return super()._mean() * (total - math.log(1e-6)).sigmoid()


class _FirstMode(OneHot):
    def _mode(self):
        return super()._mode().roll(1, -1)


class WrongMode(Choice):
    """The mode is the neighbour of the most probable value."""

    caught_by = "mode_by_enumeration"

    def discrete(self, params):
        return _FirstMode(self, params)


class _Bits(OneHot):
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


class _Exchanged(OneHot):
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
    """A bias on the first choice: zero params are not the uniform distribution."""

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


class UnlistedValues(Choice):
    """A distribution that lists no values, so that nothing is compared with enumeration."""

    caught_by = "values_can_be_listed"

    def discrete(self, params):
        return _Unlisted(self, params)


class _Unlisted(OneHot):
    has_enumerate_support = False

    def _enumerate_support(self):
        return DiscreteDistribution._enumerate_support(self)


class _Silent(OneHot):
    has_enumerate_support = False


class EnumerationNotAnnounced(Choice):
    """Lists its values and denies it, as the default of torch's base class does."""

    caught_by = "enumeration_is_announced"

    def discrete(self, params):
        return _Silent(self, params)


class KlTooSmall(OrderWithoutDistribution):
    """A divergence below the true one: an objective that is not a bound."""

    caught_by = "kl_to_uniform_is_a_bound"

    def kl_to_uniform(self, params):
        return super().kl_to_uniform(params) * 0.5


class SummedBound(OrderWithoutDistribution):
    """A divergence summed over the batch, without a discrete distribution to show its shape."""

    caught_by = "kl_to_uniform_is_usable"

    def kl_to_uniform(self, params):
        return super().kl_to_uniform(params).sum()


BROKEN = [
    MassesAboveOne(),
    ValueTwice(),
    EpsInTheMarginals(),
    WrongMode(),
    EntropyInBits(),
    ExchangedKl(),
    KlWithTheWrongSign(),
    NotUniformAtZero(),
    WrongCardinality(),
    UnlistedValues(),
    EnumerationNotAnnounced(),
    KlTooSmall(),
    SummedBound(),
]
