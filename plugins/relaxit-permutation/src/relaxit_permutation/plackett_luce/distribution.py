"""The Plackett-Luce distribution over orders: items are drawn one by one without replacement."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit import DiscreteDistribution, Unsupported
from relaxit.aliases import Generator
from relaxit_permutation.matrices import polytope
from relaxit_permutation.matrices.rounding import sorting_matrix
from relaxit_permutation.plackett_luce import lattice, monte_carlo, rank_race
from relaxit_permutation.plackett_luce.choices import in_order, log_choices, log_mass

__all__ = ["MOST_EXACT", "MOST_LISTED", "PlackettLuce"]

MOST_EXACT = 12
"""Largest number of items for which entropy and divergences are computed, as sums over sets. With
gradients, 100 rows of 12 items take 0.1 s and 70 MB on one core; each further item doubles both."""
MOST_LISTED = 8
"""Largest number of items for which all orders are listed."""


class PlackettLuce(DiscreteDistribution):
    r"""Orders of n items with scores s ``[*batch, n]``, as permutation matrices.

        log p(sigma) = sum_i [ s_{sigma_i} - log sum_{j >= i} exp(s_{sigma_j}) ]

    where sigma_i is the item of rank i. P[i, j] = 1 if item j has rank i, ``P @ x`` sorts x, and
    rows are ranks. The descending order of s + Gumbel noise has this distribution.

    * Mass, mode and samples are exact for any n, and so are the marginals: a sum over sets of items
      (:mod:`relaxit_permutation.plackett_luce.lattice`) for up to 12 items, and beyond that an
      integral (:mod:`relaxit_permutation.plackett_luce.rank_race`), exact up to rounding.
    * Entropy and KL divergences are exact for up to 12 items, with gradients, and raise beyond
      that. :meth:`entropy_estimate` and :meth:`kl_estimate` are means over samples with their
      standard errors.
    """

    @property
    def n(self) -> int:
        """Number of items."""
        return self.event_shape[-1]

    def _log_prob(self, value: Tensor) -> Tensor:
        return log_mass(log_choices(in_order(self.scores, value.argmax(-1))))

    def entropy(self) -> Tensor:
        """Entropy ``[*batch]`` in nats.

        Raises:
            Unsupported: for more than 12 items.
        """
        self._require_few("entropy", "entropy_estimate")
        return lattice.entropy(self.scores)

    def _mean(self) -> Tensor:
        """Probabilities ``[*batch, n, n]``, in row i and column j, that item j has rank i."""
        exact = lattice if self.n <= MOST_EXACT else rank_race
        return exact.marginals(self.scores)

    def _mode(self) -> Tensor:
        """The items in descending order of their scores."""
        return sorting_matrix(self.scores)

    def _sample(self, shape: torch.Size, generator: Generator = None) -> Tensor:
        return sorting_matrix(monte_carlo.perturbed(self.scores, shape, generator))

    def _enumerate_support(self) -> Tensor:
        """All n! permutation matrices.

        Raises:
            Unsupported: for more than 8 items.
        """
        if self.n > MOST_LISTED:
            raise Unsupported(
                f"{self.relaxation.name}: there are too many orders of n = {self.n} items to list "
                f"(at most n = {MOST_LISTED}, 40320 orders)"
            )
        return polytope.matchings(self.n, self.n)

    def kl(self, other: PlackettLuce) -> Tensor:
        """KL divergence ``[*batch]`` from the other distribution, in nats.

        Raises:
            Unsupported: for more than 12 items.
        """
        self._require_few("KL divergence", "kl_estimate")
        return lattice.kl(*torch.broadcast_tensors(self.scores, other.scores))

    @property
    def variance(self) -> Tensor:
        p = self._mean()
        return (p * (1 - p)).to(self.params.dtype)

    def entropy_estimate(
        self, samples: int = 1000, generator: Generator = None
    ) -> tuple[Tensor, Tensor]:
        """Estimate the entropy and the standard error of the estimate, each ``[*batch]``, in nats.

        The estimate is unbiased and has an unbiased gradient; see
        :mod:`relaxit_permutation.plackett_luce.monte_carlo`. It takes O(samples n^2) operations and
        numbers per row.

        Args:
            samples: number of independent samples, at least 2.
            generator: source of randomness; the global one if None.

        Raises:
            DomainError: for fewer than 2 samples.

        Example:
            >>> from relaxit_permutation import PermutationPlackettLuce
            >>> distribution = PermutationPlackettLuce(n=20).discrete(torch.zeros(20))
            >>> [round(float(x), 3) for x in distribution.entropy_estimate(10)]  # log 20! = 42.336
            [42.336, 0.0]
        """
        return monte_carlo.entropy(self.scores, samples, generator)

    def kl_estimate(
        self, other: PlackettLuce, samples: int = 1000, generator: Generator = None
    ) -> tuple[Tensor, Tensor]:
        """Estimate the KL divergence from another distribution, and the standard error, in nats.

        The method is that of :meth:`entropy_estimate`. Up to rounding the estimate is never
        negative.

        Args:
            other: distribution with the same number of items; batch shapes broadcast.
            samples: number of independent samples, at least 2.
            generator: source of randomness; the global one if None.

        Raises:
            DomainError: for fewer than 2 samples.
            Unsupported: for a distribution of another relaxation.
        """
        if self.relaxation != other.relaxation:
            raise Unsupported(
                f"no KL divergence between {self.relaxation!r} and {other.relaxation!r}"
            )
        return monte_carlo.kl(self.scores, other.scores, samples, generator)

    def _require_few(self, what: str, instead: str) -> None:
        if self.n > MOST_EXACT:
            raise Unsupported(
                f"{self.relaxation.name}: the {what} of n = {self.n} items is a sum over "
                f"2^{self.n} sets, computed only up to n = {MOST_EXACT}; q.discrete.{instead}() "
                "returns an estimate and its standard error"
            )
