"""k of n items as Gumbel-top-k chooses them: the Plackett-Luce law, its order forgotten."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from relaxit import Capabilities, DiscreteDistribution, Unsupported, noise
from relaxit.dtypes import compute_dtype
from relaxit_subset.plackett_luce import exponential_race
from relaxit_subset.relaxed.balance import centre
from relaxit_subset.relaxed.hypersimplex import subsets
from relaxit_subset.relaxed.relaxed_subset import RelaxedSubset

__all__ = ["PlackettLuceSubset", "SubsetPlackettLuce"]

MOST_SUMMED = 5000
"""Entropy and divergences are sums over all subsets, up to so many."""
MOST_TRAINED = 300
"""The KL term of an objective is such a sum up to so many: with gradients it takes about 12 kB a
subset, for each row."""


class SubsetPlackettLuce(RelaxedSubset):
    """The k items with the largest logits after Gumbel noise: k draws without replacement.

    This is *not* the law of ``subset``: with n = 7 and k = 3 the two are about 0.08 apart in total
    variation. Here the hard value of a draw follows the discrete law exactly. The mass of a subset
    is the sum over the k! orders in which it can be drawn, worked out as a one-dimensional integral
    (:mod:`relaxit_subset.plackett_luce.exponential_race`); marginals are one as well.

    The relaxed sample is that of ``subset``, the projection on the hypersimplex.

    Entropy and divergences have no closed form. They are sums over all subsets, exact for up to
    5000 of them, beyond which they raise. :meth:`kl_to_uniform`, made for training, is exact for up
    to 300 and beyond that a **bound from above**.

    Params of ``-inf`` exclude an item, ``+inf`` forces it in.

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
    summary = "k of n items by Gumbel-top-k, projection on the hypersimplex"
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
        """KL divergence ``[*batch]`` from the uniform law, in nats; beyond 300 subsets a bound.

        The bound is the divergence between the perturbed logits themselves, of which the subset is
        a function: ``n (mean theta + log mean e^{-theta})``, minimal over the constant that may be
        added to theta. Masked or forced items are left out, and the log-ratio of the numbers of
        subsets without and with them is added.
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
        # The divergence of what is uniform over the free items from what is uniform over all.
        k = self.options.k - (params == torch.inf).sum(-1)
        ways = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
        return among_the_free + (self.log_cardinality - ways)


class PlackettLuceSubset(DiscreteDistribution):
    """The law of the first k of n exponential clocks with log-rates ``[*batch, n]``."""

    def __init__(self, relaxation: Any, params: Tensor) -> None:
        super().__init__(relaxation, params)
        # A constant in all log-rates changes nothing but the rounding, which is to be small where
        # it is decided who is in.
        last = self.scores.detach().topk(max(1, self.k), -1).values[..., -1:]
        self.scores = self.scores - torch.where(last.isfinite(), last, 0.0)

    @property
    def k(self) -> int:
        """How many items are chosen."""
        k: int = self.relaxation.options.k
        return k

    @property
    def count(self) -> int:
        """How many subsets there are."""
        return math.comb(self.event_shape[0], self.k)

    def _log_prob(self, value: Tensor) -> Tensor:
        scores, value = torch.broadcast_tensors(self.scores, value)
        if self.k in (0, value.shape[-1]):
            return torch.zeros_like(scores[..., 0])
        chosen = value > 0.5
        rest = torch.where(chosen, -torch.inf, scores)
        # Nobody else runs: whoever is in, is first. An item that was to be forced is not in: never.
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
            Unsupported: if they are more than 5000.
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
        """The k items with the greatest logits: exchanging one for a slower one loses mass."""
        return self.relaxation.hard(self.scores)

    def _sample(self, shape: torch.Size, generator: torch.Generator | None = None) -> Tensor:
        scores = self.scores
        full = shape + scores.shape
        g = noise.gumbel(full, dtype=scores.dtype, device=scores.device, generator=generator)
        return self.relaxation.hard(scores + g)

    def _enumerate_support(self) -> Tensor:
        return subsets(self.event_shape[0], self.k, self.count)

    def kl(self, other: PlackettLuceSubset) -> Tensor:
        batch = torch.broadcast_shapes(self.batch_shape, other.batch_shape)
        mine = type(self)(self.relaxation, _over(self, batch))._masses("KL divergence")
        theirs = type(self)(self.relaxation, _over(other, batch))._masses("KL divergence")
        absent = mine == -torch.inf
        difference = torch.where(absent, 0.0, mine) - torch.where(absent, 0.0, theirs)
        return (mine.exp() * difference).sum(0)

    def _masses(self, what: str) -> Tensor:
        """Log-mass of every subset, ``[N, *batch]``."""
        if self.count > MOST_SUMMED:
            raise Unsupported(
                f"{self.relaxation.name}: the {what} is a sum over all subsets, and {self.count} "
                f"are too many (at most {MOST_SUMMED}); relaxation 'subset' has it in closed form"
            )
        listed = self._enumerate_support().to(self.scores)
        return self._log_prob(listed.view(-1, *(1,) * len(self.batch_shape), *self.event_shape))


def _over(distribution: PlackettLuceSubset, batch: torch.Size) -> Tensor:
    """The law's params, expanded to a batch shape."""
    return distribution.params.expand(batch + distribution.event_shape)
