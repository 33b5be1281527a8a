"""Costs for estimators, which record their evaluations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from relaxit.testing.case import EstimatorCase

__all__ = ["Cost", "equal_rows", "jointly", "pair_cost", "powers_claimed", "rows_of"]

_POWERS = {"": (), "linear": (1,), "quadratic": (1, 2), "any": (1, 2, 3)}


@dataclass
class Cost:
    """``(w . z + 1/4) ** power`` of values ``[..., *event]``, with a record of its evaluations."""

    case: EstimatorCase
    power: int = 2
    seen: list[Tensor] = field(default_factory=list)
    returned: list[Tensor] = field(default_factory=list)
    weights: Tensor = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator("cpu").manual_seed(11)
        drawn = torch.randn(
            self.case.relaxation.event_shape,
            generator=generator,
            dtype=torch.float32,
            device="cpu",
        )
        self.weights = drawn.to(self.case.device) + 0.5

    def dot(self, z: Tensor) -> Tensor:
        """Return ``w . z``, without recording it."""
        event = self.case.relaxation.event_shape
        product = self.weights.to(z.dtype) * z
        return product.flatten(z.dim() - len(event)).sum(-1) if event else product

    def __call__(self, z: Tensor) -> Tensor:
        cost: Tensor = (self.dot(z) + 0.25) ** self.power
        self.seen.append(z.detach())
        self.returned.append(cost.detach())
        return cost


def jointly(cost: Cost, variables: int) -> Callable[[Tensor], Tensor]:
    """Return a cost of so many variables, the sum of those of each; the cost itself for one."""
    return cost if variables == 1 else lambda z: cost(z).sum(-1)


def rows_of(case: EstimatorCase, *lead: int, variables: int = 1) -> Tensor:
    """Return params ``[*lead, variables, *param_shape]``, for one variable ``[*lead, ...]``."""
    return case.on.params(*lead, *(variables,) * (variables > 1))


def equal_rows(case: EstimatorCase, number: int, seed: int = 0) -> Tensor:
    """Return this many rows with the same params, as a leaf."""
    params = case.on.params(seed=seed)
    return params.expand(number, *params.shape).clone().requires_grad_()


def powers_claimed(case: EstimatorCase) -> tuple[int, ...]:
    """Return the degrees of the costs for which the estimator claims to be unbiased."""
    return _POWERS[case.estimator.unbiased]


def pair_cost(case: EstimatorCase, degree: int = 0) -> Callable[[Tensor], Tensor]:
    """Return one cost of two variables, of the highest claimed degree if ``degree`` is 0.

    It maps ``[..., 2, *event]`` to ``[...]``. Unlike :class:`Cost` it records nothing.
    """
    weighed = Cost(case, 1)
    degree = degree or max(powers_claimed(case))

    def cost(z: Tensor) -> Tensor:
        factors = torch.tensor([1.0, -2.0], dtype=z.dtype, device=z.device)
        total: Tensor = ((factors * weighed.dot(z)).sum(-1) + 0.3) ** degree
        return total

    return cost
