r"""Perturb scores with Gumbel noise and scale: what permutations and matchings have in common.

Scores s = theta + G, one Gumbel variable an entry. The soft value is Sinkhorn's operator at
s / temperature, the hard one the best matching of s, its limit at temperature 0.

**There is no law to speak of**: the probability that a permutation is the best one under the noise
has no formula, nor has the density of the soft value. So ``log_prob`` and ``discrete`` raise.

**The KL divergence is a bound**, that of the noise. The matching is a function of the perturbed
scores, so its law is no further from uniform than theirs is from scores of zero (data processing):

    KL <= sum_ij D_ij - 1 + exp(-D_ij),    D_ij = theta_ij + u_i + v_j,

for any u and v, which the matching does not depend on. We take the best: those at which the rows
and columns of exp(-D) have mean 1, which Sinkhorn's operator finds. It is 0 if theta is a sum of
functions of row and column, as it should be. For a wide matrix v changes the matching, and is 0.
No law is further from uniform than the logarithm of the number of matchings, so the bound ends
there: an encoder that has paid for certainty pays no more for being surer, and gets no gradient.

References: Mena et al., arXiv:1802.08665 (relaxation, and the bound without u and v, appendix);
Paulus et al., arXiv:2006.08063.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint

from relaxit import Capabilities, PerturbAndRelax
from relaxit_permutation.gumbel_sinkhorn.options import SinkhornOptions
from relaxit_permutation.matrices import polytope
from relaxit_permutation.matrices.assignment import assign, matchable
from relaxit_permutation.sinkhorn.operator import scaled, sinkhorn

__all__ = ["GumbelSinkhorn"]


class GumbelSinkhorn(PerturbAndRelax):
    """A matching of m rows to n >= m columns; params and values ``[*batch, m, n]``."""

    options: SinkhornOptions
    capabilities = Capabilities(
        density=False, discrete_distribution=False, exact_rounding=False, masks=True
    )

    @property
    @abstractmethod
    def event_shape(self) -> torch.Size:
        """``[m, n]``."""

    @property
    def param_shape(self) -> torch.Size:
        return self.event_shape

    @property
    def support(self) -> Constraint:
        return polytope.bipartite

    @property
    def vertices(self) -> Constraint:
        return polytope.matching

    @property
    def log_cardinality(self) -> float:
        m, n = self.event_shape
        return math.lgamma(n + 1) - math.lgamma(n - m + 1)

    def enumerate_vertices(self) -> Tensor:
        return polytope.matchings(*self.event_shape)

    def valid_params(self, params: Tensor) -> Tensor:
        """No NaN and no ``+inf``, and what is not masked has a matching of all rows."""
        legal = ~(params.isnan() | (params == torch.inf)).flatten(-2).any(-1)
        return legal & matchable(params != -torch.inf)

    @property
    def illegal_params(self) -> str:
        return "NaN, +inf, or masks that leave no matching, as where a whole row is masked"

    def relax(self, scores: Tensor, temperature: float | Tensor) -> Tensor:
        o = self.options
        return sinkhorn(
            scores,
            temperature,
            iterations=o.iterations,
            newton=o.newton,
            tolerance=o.tolerance,
        )

    def argmax(self, scores: Tensor) -> Tensor:
        """The best matching, on the CPU: with scores on a GPU the device is waited for."""
        return assign(scores.detach())

    def hard(self, soft: Tensor) -> Tensor:
        """The matching M of the greatest product of entries: nearest in KL(M, soft).

        That is the best matching of ``log soft``, which is the perturbed scores up to shifts of
        rows and columns, so it is the hard value of the same draw, unless rounding to a short dtype
        decides (in bfloat16 in up to one draw of 25 for n = 10, at temperature 10). The best
        matching of ``soft`` itself, nearest in Euclid's distance, is another one in some draws.
        Of a wide matrix the share of each column that stays free counts too.
        """
        dtype = torch.promote_types(soft.dtype, torch.float32)
        wide = soft.detach().to(dtype)
        scores = wide.clamp_min(torch.finfo(dtype).tiny).log()
        if soft.shape[-2] < soft.shape[-1]:
            free = 1 - wide.sum(-2, keepdim=True)
            scores = scores - free.clamp_min(torch.finfo(dtype).eps).log()
        return assign(scores).to(soft.dtype)

    def kl_to_uniform(self, params: Tensor) -> Tensor:
        """A **bound from above** on the KL divergence from the uniform law, in nats, ``[*batch]``.

        The divergence of the Gumbel noise, see :mod:`relaxit_permutation.gumbel_sinkhorn.base`, at
        most the logarithm of the number of matchings, where its gradient ends. Where entries are
        masked it is that of the others, and this logarithm is added: the law among what is left is
        not known to be any nearer to uniform. First derivatives are right; second ones, for square
        matrices, leave out how v changes.
        """
        there = params != -torch.inf
        weights = there.to(params.dtype)
        x = torch.where(there, -params, -torch.inf)
        m, n = self.event_shape
        if m == n:
            # Sums of the rows and columns of exp(-D): as many as there are entries.
            # Any v gives a bound, so nobody need be warned of sums that are a little off.
            wanted = weights.sum(-1), weights.sum(-2)
            _, v, _ = scaled(x.detach(), *wanted, tolerance=math.inf)
            x = x + v.unsqueeze(-2)
        count = weights.sum(-1, keepdim=True)
        minus = x - x.logsumexp(-1, keepdim=True) + count.log()
        noise = -torch.where(there, minus, 0.0).sum((-1, -2))
        masked = ~there.flatten(-2).all(-1)
        most = self.log_cardinality
        return noise.clamp_max(most) + masked.to(params.dtype) * most
