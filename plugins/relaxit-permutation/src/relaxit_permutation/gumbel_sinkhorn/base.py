r"""Gumbel-Sinkhorn: the code that permutations and matchings share.

Scores s = theta + G have one Gumbel variable per entry. The soft sample is Sinkhorn's operator at
s / temperature, and the hard sample is its limit at temperature 0, the best matching of s.

**There is no known distribution**: neither the probability that a permutation is the best one under
the noise nor the density of the soft sample has a formula. So ``log_prob`` and ``discrete`` raise.

**The KL divergence is a bound**, the divergence of the noise. The matching is a function of the
perturbed scores, so by data processing its divergence from uniform is at most that of the perturbed
scores from scores of zero:

    KL <= sum_ij D_ij - 1 + exp(-D_ij),    D_ij = theta_ij + u_i + v_j,

for any u and v, on which the matching does not depend. The best u and v are used: those at which
the rows and columns of exp(-D) have mean 1, found by Sinkhorn's operator. The bound is 0 if theta
is a sum of a function of the row and one of the column, as it should be. For a wide matrix v
changes the matching, so v is 0. No distribution diverges from uniform by more than the logarithm of
the number of matchings, so the bound is capped there. At the cap a more certain encoder has no
larger bound, and there is no gradient.

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
from relaxit.dtypes import compute_dtype
from relaxit_permutation.gumbel_sinkhorn.options import SinkhornOptions
from relaxit_permutation.matrices import polytope
from relaxit_permutation.matrices.assignment import assign, matchable
from relaxit_permutation.sinkhorn.implicit import scaled
from relaxit_permutation.sinkhorn.operator import sinkhorn

__all__ = ["GumbelSinkhorn", "divergence_of_noise"]


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
        """Whether there is no NaN and no ``+inf``, and the unmasked entries have a matching."""
        legal = ~(params.isnan() | (params == torch.inf)).flatten(-2).any(-1)
        return legal & matchable(params != -torch.inf)

    @property
    def illegal_params(self) -> str:
        return "NaN, +inf, or masks that leave no matching, such as a fully masked row"

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
        """Return the best matching, computed on the CPU; scores on a GPU are synchronised."""
        return assign(scores.detach())

    def hard(self, soft: Tensor) -> Tensor:
        """Return the matching M with the greatest product of entries: the nearest in KL(M, soft).

        It is the best matching of ``log soft``, which equals the perturbed scores up to shifts of
        rows and columns. So it is the hard sample of the same draw, unless rounding to a short
        dtype changes it (in bfloat16 in up to one draw in 25 for n = 10, at temperature 10). The
        best matching of ``soft`` itself, the nearest in Euclidean distance, differs in some draws.
        For a wide matrix the unassigned share of each column counts too.
        """
        dtype = compute_dtype(soft.dtype)
        wide = soft.detach().to(dtype)
        scores = wide.clamp_min(torch.finfo(dtype).tiny).log()
        if soft.shape[-2] < soft.shape[-1]:
            free = 1 - wide.sum(-2, keepdim=True)
            scores = scores - free.clamp_min(torch.finfo(dtype).eps).log()
        return assign(scores).to(soft.dtype)

    def kl_to_uniform(self, params: Tensor) -> Tensor:
        """Return an **upper bound** ``[*batch]`` on the KL divergence to uniform, in nats.

        It is the divergence of the Gumbel noise, see
        :mod:`relaxit_permutation.gumbel_sinkhorn.base`, capped at the logarithm of the number of
        matchings, where there is no gradient. Where entries are masked, it is the divergence for
        the other entries plus this logarithm, because the distribution over the remaining matchings
        is not known to be nearer to uniform; so it is at most twice the logarithm. First
        derivatives are correct. Second derivatives, for square matrices, do not account for the
        change of v.
        """
        m, n = self.event_shape
        allowed = params != -torch.inf
        noise = divergence_of_noise(params, allowed, shared=m == n)
        masked = ~allowed.flatten(-2).all(-1)
        most = self.log_cardinality
        return noise.clamp_max(most) + masked.to(params.dtype) * most


def divergence_of_noise(params: Tensor, allowed: Tensor, shared: bool) -> Tensor:
    """Return the divergence ``[*batch]`` of perturbed scores from those of params 0, in nats.

    Args:
        params: params ``[*batch, m, n]``.
        allowed: which of them are not masked.
        shared: whether a constant added to a column changes nothing, as one added to a row.
    """
    weights = allowed.to(params.dtype)
    x = torch.where(allowed, -params, -torch.inf)
    if shared:
        # The rows and columns of exp(-D) sum to their number of entries.
        # Any v gives a bound, so slightly inaccurate sums need no warning.
        sums = weights.sum(-1), weights.sum(-2)
        _, v, _ = scaled(x.detach(), *sums, tolerance=math.inf)
        x = x + v.unsqueeze(-2)
    count = weights.sum(-1, keepdim=True)
    minus = x - x.logsumexp(-1, keepdim=True) + count.log()
    return -torch.where(allowed, minus, 0.0).sum((-1, -2))
