"""The distribution of the logits of a relaxed k-subset, exact at any temperature."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint, real_vector

from relaxit import noise
from relaxit.aliases import Generator, Shape
from relaxit.dtypes import compute_dtype
from relaxit.seeded_distribution import SeededDistribution
from relaxit.shapes import as_size
from relaxit.temperature import divide_by_temperature, log_temperature
from relaxit_subset.relaxed.balance import balance, centre

__all__ = ["BalancedLogits"]


class BalancedLogits(SeededDistribution):
    """Vectors x ``[*, n]`` with ``sum_i sigmoid(x_i) = k``: the logits of a relaxed k-subset.

        log p(x) = lgamma(n) + (n - 1) log tau + sum_i b_i - n LSE(b),   b = theta - tau x

    with respect to the n - 1 differences x_i - x_n; see the derivation in
    :mod:`relaxit_subset.relaxed.relaxed_subset`. Entries without a choice are -inf or +inf in a
    sample and are left out of the density. Computation is always in float32 or float64.

    Args:
        params: logits ``[*batch, n]``.
        temperature: float, or tensor ``[*batch, 1]``.
        k: number of items that are chosen.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample = True

    def __init__(self, params: Tensor, temperature: float | Tensor, k: int) -> None:
        self.params = params.to(compute_dtype(params.dtype))
        self.temperature = temperature
        self.k = k
        super().__init__(params.shape[:-1], params.shape[-1:], validate_args=False)

    @staticmethod
    def decided_values(params: Tensor, k: int) -> Tensor:
        """Return 1 for items that are certainly chosen and 0 for all others, ``[*batch, n]``."""
        return (centre(params, k) == torch.inf).to(params.dtype)

    def expand(self, batch_shape: Any, _instance: Any = None) -> BalancedLogits:
        batch_shape = torch.Size(batch_shape)
        temperature = self.temperature
        if isinstance(temperature, Tensor) and temperature.dim() > 0:
            temperature = temperature.expand(*batch_shape, 1)
        return BalancedLogits(
            self.params.expand(batch_shape + self.event_shape), temperature, self.k
        )

    @property
    def support(self) -> Constraint:
        return real_vector

    def rsample(self, sample_shape: Shape = torch.Size(), generator: Generator = None) -> Tensor:
        """Draw logits of soft samples, ``[*sample, *batch, n]``, with a pathwise gradient."""
        shape = as_size(sample_shape) + self.params.shape
        g = noise.gumbel(
            shape, dtype=self.params.dtype, device=self.params.device, generator=generator
        )
        x = divide_by_temperature(centre(self.params + g, self.k), self.temperature)
        return x - balance(x, self.k)

    def log_prob(self, value: Tensor) -> Tensor:
        self.check_value(value)
        free = centre(self.params.detach(), self.k).isfinite()
        theta = torch.where(free, self.params, 0.0)
        b = theta - self.temperature * torch.where(free, value, 0.0)
        count = free.sum(-1).to(b.dtype)
        has_choice = count > 0
        # The log-density of a row without a choice is 0; its logsumexp would be over nothing.
        top = torch.where(free | ~has_choice.unsqueeze(-1), b, -torch.inf).logsumexp(-1)
        total = torch.where(free, b, 0.0).sum(-1)
        n = torch.where(has_choice, count, 1.0)
        density = torch.lgamma(n) + (n - 1) * self._log_temperature() + total - n * top
        return torch.where(has_choice, density, 0.0)

    def _log_temperature(self) -> float | Tensor:
        log = log_temperature(self.temperature, self.params.device)
        return log.squeeze(-1) if isinstance(log, Tensor) and log.dim() else log
