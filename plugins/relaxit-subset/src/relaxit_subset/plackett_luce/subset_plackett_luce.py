"""k of n items chosen by Gumbel-top-k: the Plackett-Luce distribution without the order."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from relaxit import Capabilities, DiscreteDistribution, Unsupported, noise
from relaxit.aliases import Generator
from relaxit.dtypes import compute_dtype
from relaxit_subset.plackett_luce import exponential_race
from relaxit_subset.relaxed.balance import centre
from relaxit_subset.relaxed.hypersimplex import subsets
from relaxit_subset.relaxed.relaxed_subset import RelaxedSubset

__all__ = ["PlackettLuceSubset", "SubsetPlackettLuce"]

MOST_SUMMED = 5000
"""Largest number of subsets for which entropy and divergences are computed, as sums over all."""
MOST_TRAINED = 300
"""Largest number of subsets for which the KL term of an objective is such a sum. With gradients it
takes about 12 kB per subset and row."""


class SubsetPlackettLuce(RelaxedSubset):
    """The k items with the largest Gumbel-perturbed logits: k draws without replacement.

    This is *not* the distribution of ``subset``: with n = 7 and k = 3 the total variation distance
    between the two is about 0.08. Here the hard sample of ``draw()`` follows the discrete
    distribution exactly. The mass of a subset is the sum over the k! orders in which it can be
    drawn, computed as a one-dimensional integral
    (:mod:`relaxit_subset.plackett_luce.exponential_race`). The marginals are such an integral too.

    The soft sample is that of ``subset``, the projection onto the hypersimplex.

    Entropy and divergences have no closed form. They are computed as exact sums over all subsets
    for up to 5000 subsets and raise beyond that. :meth:`kl_to_uniform`, made for training, is exact
    for up to 300 subsets and an **upper bound** beyond that.

    A param of ``-inf`` excludes an item, ``+inf`` forces it in.

    Example:
        >>> import torch, relaxit
        >>> distribution = relaxit.get("subset-plackett-luce", n=3, k=2)
        >>> q = distribution(torch.tensor([0.0, 1.0, -1.0]))
        >>> q.discrete.mean
        tensor([0.7553, 0.9466, 0.2981])
        >>> q.discrete.log_prob(torch.tensor([1.0, 1.0, 0.0])).exp()
        tensor(0.7019)
    """

    api = 1
    name = "subset-plackett-luce"
    aliases = ("gumbel-top-k", "top-k-plackett-luce", "plackett-luce-subset")
    summary = "k of n items by Gumbel-top-k, projection onto the hypersimplex"
    references = (
        "arXiv:1903.06059 (Gumbel-top-k)",
        "arXiv:2002.06043, appendix (mass of the unordered sample)",
        "arXiv:2006.08063 (relaxation)",
    )
    capabilities = Capabilities(
        density=True, log_space=True, discrete_distribution=True, exact_rounding=True, masks=True
    )

    @classmethod
    def examples(cls) -> list[SubsetPlackettLuce]:
        return [cls(n=5, k=2), cls(n=4, k=3)]

    def discrete(self, params: Tensor) -> PlackettLuceSubset:
        return PlackettLuceSubset(self, params)

    @property
    def kl_is_exact(self) -> bool:
        return math.comb(self.options.n, self.options.k) <= MOST_TRAINED

    def kl_to_uniform(self, params: Tensor) -> Tensor:
        """Return the KL divergence ``[*batch]`` to uniform in nats; a bound beyond 300 subsets.

        The bound is the divergence between the perturbed logits, of which the subset is a function:
        ``n (mean theta + log mean e^{-theta})``, minimised over the constant that may be added to
        theta. Masked or forced items are left out, and the log-ratio of the numbers of subsets
        without and with them is added.
        """
        if self.kl_is_exact:
            return super().kl_to_uniform(params)
        finite = params.isfinite()
        theta = torch.where(finite, params, 0.0)
        n = finite.sum(-1).to(compute_dtype(params.dtype))
        some = n.clamp_min(1)
        turned = torch.where(finite, -theta, -torch.inf)
        turned = torch.where(finite.any(-1, keepdim=True), turned, 0.0).logsumexp(-1)
        among_the_free = theta.sum(-1) + n * (turned - some.log())
        # KL divergence between the uniform distributions over subsets of free items and over all.
        k = self.options.k - (params == torch.inf).sum(-1)
        ways = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
        return among_the_free + (self.log_cardinality - ways)


class PlackettLuceSubset(DiscreteDistribution):
    """The distribution of the first k of n exponential clocks with log-rates ``[*batch, n]``."""

    def __init__(self, relaxation: Any, params: Tensor) -> None:
        super().__init__(relaxation, params)
        # A constant in all log-rates changes only the rounding, which must be small near the
        # threshold that decides which items are chosen.
        last = self.scores.detach().topk(max(1, self.k), -1).values[..., -1:]
        self.scores = self.scores - torch.where(last.isfinite(), last, 0.0)

    @property
    def k(self) -> int:
        """Number of items that are chosen."""
        k: int = self.relaxation.options.k
        return k

    @property
    def count(self) -> int:
        """Number of subsets."""
        return math.comb(self.event_shape[0], self.k)

    def _log_prob(self, value: Tensor) -> Tensor:
        scores, value = torch.broadcast_tensors(self.scores, value)
        if self.k in (0, value.shape[-1]):
            return torch.zeros_like(scores[..., 0])
        chosen = value > 0.5
        rest = torch.where(chosen, -torch.inf, scores)
        # alone: no other clock can ring, so the set comes first. barred: a forced item is left out,
        # so the mass is 0.
        alone = (rest == -torch.inf).all(-1)
        barred = (rest == torch.inf).any(-1)
        total = torch.where((alone | barred).unsqueeze(-1), 0.0, rest).logsumexp(-1)
        index = value.topk(self.k, -1).indices
        rates = scores.gather(-1, index)
        masked = (rates == -torch.inf).any(-1)
        mass = exponential_race.log_mass(rates - total.unsqueeze(-1))
        mass = torch.where(alone, torch.zeros_like(mass).masked_fill(masked, -torch.inf), mass)
        return torch.where(barred, -torch.inf, mass)

    def entropy(self) -> Tensor:
        """Entropy ``[*batch]`` in nats, summed over all subsets.

        Raises:
            Unsupported: if there are more than 5000 subsets.
        """
        mass = self._masses("entropy")
        return -(mass.exp() * torch.where(mass == -torch.inf, 0.0, mass)).sum(0)

    def _mean(self) -> Tensor:
        """Probability ``[*batch, n]`` of each item."""
        known = centre(self.scores, self.k)
        if self.k in (0, known.shape[-1]):
            return (known > 0).to(known.dtype)
        decided = known.isinf().all(-1, keepdim=True)
        open_rows = torch.where(decided, 0.0, self.scores)
        return torch.where(
            decided, (known > 0).to(known.dtype), exponential_race.inclusion(open_rows, self.k)
        )

    def _mode(self) -> Tensor:
        """The k items with the largest logits: replacing one by a slower item reduces the mass."""
        return self.relaxation.hard(self.scores)

    def _sample(self, shape: torch.Size, generator: Generator = None) -> Tensor:
        scores = self.scores
        g = noise.gumbel(
            shape + scores.shape, dtype=scores.dtype, device=scores.device, generator=generator
        )
        return self.relaxation.hard(scores + g)

    def _enumerate_support(self) -> Tensor:
        return subsets(self.event_shape[0], self.k, self.count)

    def kl(self, other: PlackettLuceSubset) -> Tensor:
        batch = torch.broadcast_shapes(self.batch_shape, other.batch_shape)
        log_p = type(self)(self.relaxation, _over(self, batch))._masses("KL divergence")
        log_q = type(self)(self.relaxation, _over(other, batch))._masses("KL divergence")
        absent = log_p == -torch.inf
        difference = torch.where(absent, 0.0, log_p) - torch.where(absent, 0.0, log_q)
        return (log_p.exp() * difference).sum(0)

    def _masses(self, what: str) -> Tensor:
        """Return the log-mass ``[N, *batch]`` of every subset."""
        if self.count > MOST_SUMMED:
            raise Unsupported(
                f"{self.relaxation.name}: the {what} is a sum over all subsets, and {self.count} "
                f"are too many (at most {MOST_SUMMED}); relaxation 'subset' has a closed form"
            )
        listed = self._enumerate_support().to(self.scores)
        return self._log_prob(listed.view(-1, *(1,) * len(self.batch_shape), *self.event_shape))


def _over(distribution: PlackettLuceSubset, batch: torch.Size) -> Tensor:
    """Expand the params of a distribution to a batch shape."""
    return distribution.params.expand(batch + distribution.event_shape)
