"""Gapped straight-through: the logit of the draw is made the largest one, by a gap.

Given an exact draw D, the logits are moved, as little as necessary, until that of D is the largest
by at least ``gap``: it is raised to the largest logit, and the others are limited to the largest
minus the gap (the logit of a bit is moved away from 0, to at least the gap). The gradient is that
of ``softmax(moved / tau)`` with the move held fixed. So sample and surrogate agree, as for
``st-gumbel``, without noise beyond the draw.

Biased. One evaluation of the cost, on vertices; no more memory than straight-through. Requires
params that are logits (capability ``logits``).

Reference: Fan, Chi, Rudnicky, Ramadge, "Training Discrete Deep Generative Models via Gapped
Straight-Through Estimator", arXiv:2206.07235, section 4.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from relaxit.aliases import Generator
from relaxit.autograd import replace_gradient
from relaxit.dtypes import compute_dtype
from relaxit.estimators.base import DrawEstimator
from relaxit.estimators.common.marginals import Kind, marginals
from relaxit.options import Options
from relaxit.relaxation import Relaxation, RelaxedDistribution
from relaxit.temperature import divide_by_temperature

__all__ = ["GappedOptions", "GappedStraightThrough", "with_gap"]


class GappedOptions(Options):
    """The gap between the logit of the draw and the others."""

    gap: float = Field(1.0, ge=0, description="least lead of the drawn logit, at temperature 1")


class GappedStraightThrough(DrawEstimator):
    """Exact draws, with the gradient of the marginals of logits moved to agree with them.

    Example:
        >>> import torch, relaxit
        >>> logits = torch.zeros(4, requires_grad=True)
        >>> q = relaxit.get("categorical", categories=4)(logits, 0.5)
        >>> relaxit.estimator("gapped-st").sample(q).sum()
        tensor(1., grad_fn=<SumBackward0>)
    """

    api = 1
    name = "gapped-st"
    aliases = ("gst", "gapped-straight-through")
    summary = "exact draw, gradient of logits moved until the draw leads by a gap"
    Options = GappedOptions
    references = ("arXiv:2206.07235, section 4",)

    def check(self, relaxation: Relaxation) -> None:
        self._needs_logits(relaxation)

    def given(self, q: RelaxedDistribution, hard: Tensor, generator: Generator = None) -> Tensor:
        del generator
        kind = q.relaxation.capabilities.logits
        params = q.params.to(compute_dtype(hard.dtype)).expand(hard.shape)
        moved = replace_gradient(with_gap(params.detach(), hard, self.options.gap, kind), params)
        soft = marginals(divide_by_temperature(moved, q.aligned_temperature), kind)
        return replace_gradient(hard, soft.to(hard.dtype))


def with_gap(logits: Tensor, hard: Tensor, gap: float, kind: Kind) -> Tensor:
    """Move logits, as little as necessary, until that of the draw leads by the gap.

    Args:
        logits: ``[*, K]`` of one category, or ``[*]`` of bits.
        hard: the draw, of the same shape.
        gap: least lead over the other logits; for a bit, least distance from 0.
        kind: what the logits are of.

    Example:
        >>> with_gap(torch.tensor([3.0, 1.0, 2.5]), torch.tensor([0.0, 1.0, 0.0]), 1.0, "category")
        tensor([2., 3., 2.])
    """
    if kind == "bits":
        sign = 2 * hard.to(logits.dtype) - 1
        return sign * (sign * logits).clamp(min=gap)
    top = logits.amax(-1, keepdim=True)
    return torch.where(hard > 0.5, top, torch.minimum(logits, top - gap))
