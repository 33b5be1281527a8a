"""Costs for estimators, which remember what they were asked."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from relaxit.testing.case import EstimatorCase

__all__ = ["Cost", "equal_rows"]


@dataclass
class Cost:
    """``(w . z + 1/4) ** power`` of every value ``[..., *event]``, which it remembers."""

    case: EstimatorCase
    power: int = 2
    seen: list[Tensor] = field(default_factory=list)
    returned: list[Tensor] = field(default_factory=list)
    weights: Tensor = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(11)
        drawn = torch.randn(self.case.relaxation.event_shape, generator=generator) + 0.5
        self.weights = drawn.to(self.case.device)

    def __call__(self, z: Tensor) -> Tensor:
        event = self.case.relaxation.event_shape
        product = self.weights.to(z.dtype) * z
        dot = product.flatten(z.dim() - len(event)).sum(-1) if event else product
        cost: Tensor = (dot + 0.25) ** self.power
        self.seen.append(z.detach())
        self.returned.append(cost.detach())
        return cost


def equal_rows(case: EstimatorCase, number: int, seed: int = 0) -> Tensor:
    """The same params in every one of so many rows, as a leaf."""
    one = case.on.params(seed=seed)
    return one.expand(number, *one.shape).clone().requires_grad_()
