"""The exact distribution of a structure that is given by its log-partition function."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from relaxit.aliases import Generator
from relaxit.derivative import derivative, value_and_derivative
from relaxit.discrete import DiscreteDistribution
from relaxit.dtypes import longest_dtype
from relaxit.errors import Unsupported
from relaxit.sum_product.enumeration import MOST_VALUES, statistics_of_all_values
from relaxit.sum_product.sums import Drawn, Sum, largest, log_sum

__all__ = ["SumProductDistribution"]


class SumProductDistribution(DiscreteDistribution):
    """Values with probability proportional to the exponential of their score.

    With the log-partition function log Z and its derivative mu, the mean of the statistics,

        log p(v) = <theta, s(v)> - log Z,    H = log Z - <theta, mu>,
        KL(p, p') = <theta - theta', mu> - log Z + log Z'.

    Computed in float64, where the device has it.

    Reference: Wainwright, Jordan, "Graphical Models, Exponential Families, and Variational
    Inference" (2008), section 3.
    """

    relaxation: Any  # an ExponentialFamily, which imports this module

    def __init__(self, relaxation: Any, params: Tensor) -> None:
        super().__init__(relaxation, params)
        self.weights = self.scores.to(longest_dtype(params.device))
        self._rank = len(relaxation.param_shape)

    def log_partition(self) -> Tensor:
        """Log of the sum of the exponentials of all scores, ``[*batch]``."""
        return self._log_partition_of(self.weights)

    def mean_statistics(self) -> Tensor:
        """Mean of the statistics, ``[*batch, *param_shape]``: the derivative of log Z."""
        return self._log_partition_and_mean()[1]

    def _log_partition_and_mean(self) -> tuple[Tensor, Tensor]:
        return value_and_derivative(self._log_partition_of, self.weights, self._rank)

    def _log_partition_of(self, weights: Tensor, plus: Sum = log_sum) -> Tensor:
        total: Tensor = self.relaxation.log_partition(weights, plus)
        return total

    def _score(self, weights: Tensor, statistics: Tensor) -> Tensor:
        """Return the inner product, in which 0 times an infinite weight is 0."""
        unused = statistics.detach() == 0
        terms = weights.masked_fill(unused & weights.isinf(), 0.0) * statistics
        return terms.flatten(terms.dim() - self._rank).sum(-1) if self._rank else terms

    def _log_prob(self, value: Tensor) -> Tensor:
        statistics = self.relaxation.statistics(value.to(self.weights.dtype))
        return (self._score(self.weights, statistics) - self.log_partition()).to(self.scores.dtype)

    def entropy(self) -> Tensor:
        """Entropy ``[*batch]`` in nats."""
        log_partition, mean = self._log_partition_and_mean()
        return (log_partition - self._score(self.weights, mean)).to(self.scores.dtype)

    def _mean(self) -> Tensor:
        mean: Tensor = self.relaxation.from_statistics(self.mean_statistics())
        return mean

    def _mode(self) -> Tensor:
        weights = self.weights.detach()
        best = derivative(lambda x: self._log_partition_of(x, largest), weights, self._rank)
        mode: Tensor = self.relaxation.from_statistics(best)
        return mode

    def _sample(self, shape: torch.Size, generator: Generator = None) -> Tensor:
        plus = Drawn(generator)
        drawn = derivative(
            lambda x: self._log_partition_of(x, plus),
            self.weights.expand(shape + self.weights.shape),
            self._rank,
        )
        value: Tensor = self.relaxation.from_statistics(drawn)
        return value

    def _enumerate_support(self) -> Tensor:
        r = self.relaxation
        if r.log_cardinality > math.log(MOST_VALUES) + 1e-9:
            raise Unsupported(
                f"{r.name}: {r!r} has exp({r.log_cardinality:.1f}) values, too many to list (at "
                f"most {MOST_VALUES})"
            )
        listed = statistics_of_all_values(self._log_partition_of, r.param_shape)
        values: Tensor = r.from_statistics(listed)
        return values

    def kl(self, other: Any) -> Tensor:
        log_partition, mean = self._log_partition_and_mean()
        unused = mean.detach() == 0
        gap = self.weights.masked_fill(unused, 0.0) - other.weights.masked_fill(unused, 0.0)
        score = self._score(gap, mean)
        return (score - log_partition + other.log_partition()).to(self.scores.dtype)
