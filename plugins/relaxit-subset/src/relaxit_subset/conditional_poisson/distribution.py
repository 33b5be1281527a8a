"""The conditional Poisson distribution: independent bits, given that k of them are ones."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from relaxit import DiscreteDistribution
from relaxit.aliases import Generator
from relaxit_subset.conditional_poisson import divide_and_conquer
from relaxit_subset.conditional_poisson.contour import minor_marginals
from relaxit_subset.relaxed.balance import COARSE, balance, centre
from relaxit_subset.relaxed.hypersimplex import subsets

__all__ = ["ConditionalPoisson"]


class ConditionalPoisson(DiscreteDistribution):
    """k-subsets S with probability proportional to ``exp(sum of the logits in S)``.

    All quantities are expressed with the probabilities p of independent bits whose expected sum is
    k, and with P, the probability that their sum is k. The log-mass of z, for example, is the sum
    of the log-masses of its bits minus log P. The terms of these sums have the same sign, whereas
    the usual form, the sum of the logits in S minus the log-partition function, may subtract
    numbers in the hundreds from each other.

    Attributes:
        balanced: logits ``[*batch, n]``, shifted so that the expected sum of their bits is k.
    """

    def __init__(self, relaxation: Any, params: Tensor) -> None:
        super().__init__(relaxation, params)
        self.k: int = relaxation.options.k
        x = centre(self.scores, self.k)
        self.balanced = x - balance(x.detach(), self.k, COARSE)
        self._known: tuple[Tensor, Tensor] | None = None

    def _log_prob(self, value: Tensor) -> Tensor:
        bits = logsigmoid(torch.where(value > 0.5, self.balanced, -self.balanced))
        return bits.sum(-1) - self._sum_and_minor()[0]

    def entropy(self) -> Tensor:
        """Entropy ``[*batch]`` in nats."""
        return self._cross_entropy(self) + self._sum_and_minor()[0]

    def _mean(self) -> Tensor:
        """Probability ``[*batch, n]`` of each item."""
        return self._chosen_and_not()[0]

    def _mode(self) -> Tensor:
        """The k items with the largest logits."""
        return self.relaxation.hard(self.scores)

    def _sample(self, shape: torch.Size, generator: Generator = None) -> Tensor:
        return divide_and_conquer.draw(self.balanced.detach(), self.k, shape, generator)

    def _enumerate_support(self) -> Tensor:
        n = self.event_shape[0]
        return subsets(n, self.k, math.comb(n, self.k))

    def kl(self, other: ConditionalPoisson) -> Tensor:
        difference = self._cross_entropy(other) - self._cross_entropy(self)
        return difference + other._sum_and_minor()[0] - self._sum_and_minor()[0]

    @property
    def variance(self) -> Tensor:
        chosen, left_out = self._chosen_and_not()
        return (chosen * left_out).to(self.params.dtype)

    def _sum_and_minor(self) -> tuple[Tensor, Tensor]:
        """Log P and the marginals of the minor sides, cached; recomputed if gradients need it."""
        wanted = torch.is_grad_enabled() and self.balanced.requires_grad
        if self._known is None or (wanted and not self._known[0].requires_grad):
            sign = self._sign()
            self._known = minor_marginals(sign * self.balanced, sign, self.k)
        return self._known

    def _sign(self) -> Tensor:
        """Signs ``[*batch, n]``: -1 for items whose bit is more likely a one, otherwise 1."""
        return 1 - 2 * self.balanced.detach().sign().clamp_min(0)

    def _chosen_and_not(self) -> tuple[Tensor, Tensor]:
        """Probabilities that an item is chosen and is not, both computed without cancellation."""
        sign = self._sign()
        change = sign * self._sum_and_minor()[1]
        return (1 - sign) / 2 + change, (1 + sign) / 2 - change

    def _cross_entropy(self, other: ConditionalPoisson) -> Tensor:
        """Negative expected log-mass, under this distribution, of another's independent bits."""
        chosen, left_out = self._chosen_and_not()
        yes, no = logsigmoid(other.balanced), logsigmoid(-other.balanced)
        return -(_weighted(chosen, yes) + _weighted(left_out, no)).sum(-1)


def _weighted(mass: Tensor, log: Tensor) -> Tensor:
    """Return ``mass * log``, and 0 where the mass is 0, whatever the logarithm."""
    return mass * log.masked_fill(mass.detach() == 0, 0.0)
