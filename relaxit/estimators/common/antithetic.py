"""Antithetic draws of independent bits from the same noise, shared by ARM and DisARM.

With logistic noise L, one per bit, the pair is ``b = 1[a + L > 0]`` and ``b' = 1[a - L > 0]``. Both
follow the distribution of the bits, and they differ as often as two such draws can.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from relaxit.aliases import Generator
from relaxit.dtypes import compute_dtype
from relaxit.estimators.base import Estimator
from relaxit.estimators.common.costs import Cost, checked_cost
from relaxit.estimators.common.score_function import add_gradient, expand_to_rank, inner_product
from relaxit.noise import logistic
from relaxit.relaxation import Relaxation, RelaxedDistribution

__all__ = ["Antithetic"]


class Antithetic(Estimator):
    """The difference of two costs, times a weight for each bit. Implement :meth:`weight`."""

    hard = True
    exact_draw = True
    unbiased = "any"

    def evaluations(self, relaxation: Relaxation, variables: int = 1) -> int:
        del relaxation, variables
        return 2

    def check(self, relaxation: Relaxation) -> None:
        self._needs_logits(relaxation, ("bits",))

    @abstractmethod
    def weight(self, logits: Tensor, noise: Tensor, bit: Tensor, other: Tensor) -> Tensor:
        """Compute the factor of the cost difference; all tensors are ``[*batch, *param_shape]``."""

    def surrogate(self, q: RelaxedDistribution, cost: Cost, generator: Generator = None) -> Tensor:
        self.check(q.relaxation)
        logits = q.params.detach().to(compute_dtype(q.params.dtype))
        noise = logistic(
            logits.shape, dtype=logits.dtype, device=logits.device, generator=generator
        )
        bit, other = logits + noise > 0, logits - noise > 0
        cost = checked_cost(self.name, q, cost)
        first, second = (cost(b.to(q.params.dtype)) for b in (bit, other))
        value = (first + second) / 2
        if not torch.is_grad_enabled():
            return value
        bits = (b.to(logits.dtype) for b in (bit, other))
        weight = self.weight(logits, noise, *bits)
        difference = (first - second).detach().to(logits.dtype)
        return add_gradient(
            value,
            inner_product(first.shape, q.params, expand_to_rank(difference, weight.dim()) * weight),
        )
