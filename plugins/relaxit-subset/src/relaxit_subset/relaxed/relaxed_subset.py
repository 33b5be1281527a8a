r"""The relaxation that all k-subset structures share: perturb and project, and its density.

Scores s = theta + G with standard Gumbel noise are projected onto the hypersimplex, with the binary
entropy as the regulariser,

    y = argmax_y <s, y> / tau + sum_i H(y_i)  =  sigmoid(s / tau - c),    sum_i y_i = k,

where H is the entropy of a bit and the shift c makes the sum k. The reasons for this relaxation:

* It stays in the hypersimplex, and tends to the vertices as the temperature tends to 0. (The
  successive softmax of Xie and Ermon sums to k but has entries of up to 3.75 at temperature 1.)
* It costs one pass and a scalar equation per row, with an implicit gradient: no loop over k.
* **It has a density**, as the Concrete distribution does. With x = logit(y), the differences
  x_i - x_n are those of s / tau, because the shift is the same for all entries. Integrating the n
  Gumbel densities over the shift gives, with b = theta - tau x and n free items,

      log p = lgamma(n) + (n - 1) log tau + sum_i b_i - n LSE(b)

  for these n - 1 differences. Their Jacobian with respect to any n - 1 entries of y is
  ``sum_i v_i / prod_i v_i``, v = y (1 - y), which gives the density on the hypersimplex.

For k = 1 this is not the softmax: two items at temperature tau give the Concrete distribution of
temperature 2 tau.

Masked items (-inf) are exact zeros, forced items (+inf) exact ones, and both drop out of n and the
sums. Where they leave no choice, the log-density is 0.

References: Paulus et al., "Gradient Estimation with Stochastic Softmax Tricks", arXiv:2006.08063
(the relaxation, with this regulariser); Amos, Koltun, Kolter, "The Limited Multi-Label
Projection Layer", arXiv:1906.08707 (the projection); Xie and Ermon, "Reparameterizable Subset
Sampling via Continuous Relaxations", arXiv:1901.10517 (the successive softmax).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint

from relaxit import PerturbAndRelax
from relaxit.dtypes import compute_dtype, smallest_stored
from relaxit.temperature import divide_by_temperature
from relaxit_subset.relaxed.balance import balance, centre
from relaxit_subset.relaxed.balanced_logits import BalancedLogits
from relaxit_subset.relaxed.hypersimplex import hypersimplex, k_hot
from relaxit_subset.relaxed.options import SubsetOptions

__all__ = ["RelaxedSubset", "undecided"]


class RelaxedSubset(PerturbAndRelax):
    """k of n items, params and values ``[*batch, n]``; subclasses add the discrete distribution."""

    Options = SubsetOptions

    @classmethod
    def sizes(cls, shape: torch.Size) -> dict[str, int]:
        return {"n": shape[-1]} if shape else {}

    @property
    def event_shape(self) -> torch.Size:
        return torch.Size((self.options.n,))

    @property
    def param_shape(self) -> torch.Size:
        return self.event_shape

    @property
    def support(self) -> Constraint:
        return hypersimplex(self.options.k)

    @property
    def vertices(self) -> Constraint:
        return k_hot(self.options.k)

    @property
    def log_cardinality(self) -> float:
        n, k = self.options.n, self.options.k
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    def valid_params(self, params: Tensor) -> Tensor:
        """Whether there is no NaN, at most k items are forced and at least k are not masked."""
        forced = (params == torch.inf).sum(-1)
        left = (params != -torch.inf).sum(-1)
        k = self.options.k
        return ~params.isnan().any(-1) & (forced <= k) & (k <= left)

    @property
    def illegal_params(self) -> str:
        k = self.options.k
        return f"NaN, fewer than k = {k} items not masked, or more than k = {k} forced"

    def relax(self, scores: Tensor, temperature: float | Tensor) -> Tensor:
        # Centred before the division, which would magnify rounding errors of large scores.
        x = divide_by_temperature(centre(scores, self.options.k), temperature)
        return torch.sigmoid(x - balance(x, self.options.k))

    def argmax(self, scores: Tensor) -> Tensor:
        chosen = scores.topk(self.options.k, -1).indices  # k different indices, even with ties
        return torch.zeros_like(scores).scatter(-1, chosen, 1.0)

    def finish(self, soft: Tensor, params: Tensor) -> Tensor:
        inner = soft.clamp(smallest_stored(soft.dtype), 1 - torch.finfo(soft.dtype).eps / 2)
        return torch.where(undecided(params.detach(), self.options.k), inner, soft)

    def log_prob(self, params: Tensor, temperature: float | Tensor, value: Tensor) -> Tensor:
        """Return the log-density ``[..., *batch]`` of a stored soft sample.

        Entries near 1 are stored with an error of 6e-8 in float32, which their logits, and so the
        density, inherit: the result is accurate to 1e-4 at temperature 1 and off by nats below
        temperature 0.5, where :meth:`log_space` is exact.
        """
        dtype = compute_dtype(params.dtype)
        free = undecided(params, self.options.k)
        y = value.to(dtype).masked_fill(~free, 0.5)
        x = y.log() - torch.log1p(-y)
        spread = y * (1 - y)
        jacobian = _log_sum(spread, free) - torch.where(free, spread.log(), 0.0).sum(-1)
        density = self.log_space(params, temperature).log_prob(x) + jacobian
        # Entries without a choice are no coordinates; a wrong one puts the value off the support.
        forced = BalancedLogits.decided_values(params, self.options.k)
        outside = (~free & (value != forced.to(value.dtype))).any(-1)
        return density.masked_fill(outside, -torch.inf)

    def log_space(self, params: Tensor, temperature: float | Tensor) -> BalancedLogits:
        return BalancedLogits(params, temperature, self.options.k)

    def from_log_space(self, value: Tensor) -> Tensor:
        return value.sigmoid()


def undecided(params: Tensor, k: int) -> Tensor:
    """Whether each item of ``[..., n]`` has a choice, given the masked and forced items."""
    left = (params != -torch.inf).sum(-1, keepdim=True)
    forced = (params == torch.inf).sum(-1, keepdim=True)
    return params.isfinite() & (forced < k) & (k < left)


def _log_sum(spread: Tensor, free: Tensor) -> Tensor:
    """Return ``log sum_i v_i`` over free items; 0 for a row without free items."""
    total = torch.where(free, spread, 0.0).sum(-1)
    return torch.where(free.any(-1), total, 1.0).log()
