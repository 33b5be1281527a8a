"""The Plackett-Luce distribution over orders: items are drawn one by one without replacement."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit import DiscreteDistribution, Relaxation, ShapeError, Unsupported
from relaxit.aliases import Generator, Shape
from relaxit.arithmetic import without_autocast
from relaxit.shapes import as_size
from relaxit_permutation.matrices import polytope
from relaxit_permutation.matrices.rounding import sorting_matrix
from relaxit_permutation.plackett_luce import lattice, monte_carlo, rank_race
from relaxit_permutation.plackett_luce.choices import (
    always_possible,
    in_order,
    log_choices,
    log_first,
    log_mass,
    pads_in_place,
)
from relaxit_permutation.sorting.items import places_of, scores_of

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
    * The first k places alone have a distribution too: :meth:`log_prob_of_order` and
      :meth:`sample_order`, with items as indices.

    **Padding.** A score of ``-inf`` marks a pad. Pads take the last places, in the order of their
    index, so that the items have the distribution of the list without pads: the same masses,
    entropy, divergences and samples. Other orders of the pads have no mass.

    Args:
        relaxation: the structure.
        params: scores ``[*batch, n]``.

    Attributes:
        scores: the scores in at least float32; those of pads are finite and far below the others.
        pads: which entries are pads, ``[*batch, n]`` of bool; None if it is known that none are.
    """

    def __init__(self, relaxation: Relaxation, params: Tensor) -> None:
        super().__init__(relaxation, params)
        self.scores, self.pads = scores_of(self.scores)

    @property
    def n(self) -> int:
        """Number of items."""
        return self.event_shape[-1]

    def _log_prob(self, value: Tensor) -> Tensor:
        order = value.argmax(-1)
        return self._only_possible(log_mass(log_choices(in_order(self.scores, order))), order)

    def _only_possible(self, mass: Tensor, order: Tensor) -> Tensor:
        """Return log-masses of orders, ``-inf`` where a pad is not in its place."""
        if self.pads is None:
            return mass
        return mass.masked_fill(~pads_in_place(self.pads, order), -torch.inf)

    def log_prob_of_order(self, order: Tensor) -> Tensor:
        r"""Log-probability of the first k places, in nats; of a whole order if k = n.

            log p = sum_{i <= k} [ s_{sigma_i} - log sum_{j left at step i} exp(s_j) ]

        Its negative is the loss ListMLE if the order is that of the labels, and top-k ListMLE if it
        is that of the first places. It takes k n numbers for each order.

        Args:
            order: integers ``[..., k]``, the items of the first k places; -1 from where on the
                order is not known, so that lists of different k make one tensor. Or the first k
                rows ``[..., k, n]`` of a permutation matrix, in a floating-point dtype.

        Returns:
            ``[...]``, broadcast with the batch; ``-inf`` if there is no such order: an item twice,
            an index out of range, a gap, a pad that is not behind all items.

        Raises:
            TypeError: if the order is not a tensor, or of dtype bool or complex.
            ShapeError: if there are more than n places, or the shape does not fit.

        Example:
            >>> from relaxit_permutation import PermutationPlackettLuce
            >>> q = PermutationPlackettLuce(n=3)(torch.tensor([1.5, 0.3, -torch.inf]))
            >>> q.discrete.log_prob_of_order(torch.tensor([[0, 1, 2], [0, -1, -1]]))
            tensor([-0.2633, -0.2633])

        References: Plackett, Applied Statistics 24 (1975); Xia, Liu, Wang, Zhang, Li, "Listwise
        Approach to Learning to Rank", ICML 2008.
        """
        order, possible = self._as_indices(order)
        with without_autocast(self.scores):
            mass = log_first(self.scores, order)
        return self._only_possible(mass, order).masked_fill(~possible, -torch.inf)

    def _as_indices(self, order: Tensor) -> tuple[Tensor, Tensor]:
        """Return indices ``[..., k]`` and whether they come from rows of a permutation matrix."""
        owner = f"{self.relaxation.name}, log_prob_of_order"
        legal = isinstance(order, Tensor) and order.dtype != torch.bool
        if not legal or order.is_complex():
            got = order.dtype if isinstance(order, Tensor) else type(order).__name__
            raise TypeError(f"{owner}: order must be a tensor of integers or of rows, got {got}")
        rows = order.is_floating_point()
        fits = order.dim() > rows and order.shape[-1 - rows] <= self.n
        lead = order.shape[: -1 - rows]
        if not fits or (rows and order.shape[-1] != self.n):
            raise ShapeError(
                f"{owner}: order must be [*, k] of integers or [*, k, {self.n}] of rows, with k at "
                f"most {self.n}, got {list(order.shape)}"
            )
        try:
            torch.broadcast_shapes(lead, self.batch_shape)
        except RuntimeError:
            raise ShapeError(
                f"{owner}: order {list(order.shape)} does not broadcast against the batch "
                f"{list(self.batch_shape)}"
            ) from None
        if not rows:
            return order.long(), torch.ones_like(order[..., :1], dtype=torch.bool).all(-1)
        exact = ((order == 0) | (order == 1)).flatten(-2).all(-1) & (order.sum(-1) == 1).all(-1)
        return order.argmax(-1), exact

    def sample_order(
        self, sample_shape: Shape = torch.Size(), k: int | None = None, generator: Generator = None
    ) -> Tensor:
        """Draw the items of the first k places, as indices ``[*sample, *batch, k]`` of int64.

        They are exact samples, which take O(n) numbers each, not n^2 as :meth:`sample` does.

        Args:
            sample_shape: shape of the independent samples.
            k: number of places, from 1 to n; all if None.
            generator: source of randomness; the global one if None.

        Raises:
            TypeError: if k is not an integer.
            DomainError: if it is out of range.

        Example:
            >>> from relaxit_permutation import PermutationPlackettLuce
            >>> distribution = PermutationPlackettLuce(n=1000).discrete(torch.zeros(1000))
            >>> distribution.sample_order((5,), k=3).shape
            torch.Size([5, 3])
        """
        k = self.n if k is None else places_of("sample_order", k, self.n)
        with torch.no_grad(), without_autocast(self.scores):
            noisy = monte_carlo.perturbed(self.scores, as_size(sample_shape), generator)
            return noisy.topk(k, -1).indices

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
        divergence = lattice.kl(*torch.broadcast_tensors(self.scores, other.scores))
        return self._infinite_where_impossible(divergence, other)

    def _infinite_where_impossible(self, divergence: Tensor, other: PlackettLuce) -> Tensor:
        """Return ``inf`` where an order of this distribution is impossible in the other one."""
        if other.pads is None:
            return divergence
        pads = torch.zeros_like(other.pads) if self.pads is None else self.pads
        return divergence.masked_fill(~always_possible(pads, other.pads), torch.inf)

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
        estimate, error = monte_carlo.kl(self.scores, other.scores, samples, generator)
        return self._infinite_where_impossible(estimate, other), error

    def _require_few(self, what: str, instead: str) -> None:
        if self.n > MOST_EXACT:
            raise Unsupported(
                f"{self.relaxation.name}: the {what} of n = {self.n} items is a sum over "
                f"2^{self.n} sets, computed only up to n = {MOST_EXACT}; q.discrete.{instead}() "
                "returns an estimate and its standard error"
            )
