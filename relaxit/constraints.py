"""Constraints on soft values and on vertices, with a tolerance that depends on the dtype.

torch's own ``simplex`` requires a sum within 1e-6 of one, which no bfloat16 vector meets. Here the
tolerance is at least the same 1e-6, so that a float32 vector stored as float64 still passes.

``torch.distributions.biject_to`` and ``transform_to`` map unconstrained numbers to soft values, as
Pyro's AutoNormal and NUTS need. They know the constraints on soft values that are here.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import biject_to, constraints, transform_to, transforms

from relaxit.dtypes import compute_dtype

__all__ = ["boolean", "one_hot", "one_of", "simplex", "tolerance", "unit_interval"]


def tolerance(value: Tensor, terms: int = 1) -> float:
    """Return the rounding error to allow in a sum of ``terms`` numbers of size one."""
    return max(1e-6, torch.finfo(value.dtype).eps * max(4.0, terms**0.5))


class _Simplex(constraints.Constraint):
    """Non-negative vectors (last dimension) that sum to one."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        wide = compute_dtype(value.dtype)
        off = (value.to(wide).sum(-1) - 1).abs()
        return (value >= 0).all(-1) & (off <= tolerance(value, value.shape[-1]))


class _OneHot(constraints.Constraint):
    """Vectors (last dimension) of exact zeros and a single exact one."""

    event_dim = 1
    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return ((value == 0) | (value == 1)).all(-1) & (value.sum(-1) == 1)


class _UnitInterval(constraints.Constraint):
    """Numbers in [0, 1]; rounding may take a sum of probabilities to 1.0000001."""

    def check(self, value: Tensor) -> Tensor:
        return (value >= 0) & (value - 1 <= tolerance(value))


class _Boolean(constraints.Constraint):
    """Exactly 0 or exactly 1, in a floating dtype."""

    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return (value == 0) | (value == 1)


class one_of(constraints.Constraint):
    """Exactly one of the listed values: the vertices of a structure without a formula.

    Args:
        values: all allowed values ``[N, *event_shape]``.

    Example:
        >>> ladder = one_of(torch.ones(3, 2).tril(-1))
        >>> ladder.check(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        tensor([ True, False])
    """

    is_discrete = True

    def __init__(self, values: Tensor) -> None:
        self.values = values
        super().__init__()

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        return self.values.dim() - 1

    def check(self, value: Tensor) -> Tensor:
        same = value.unsqueeze(-1 - self.event_dim) == self.values.to(value)
        return (same.flatten(-self.event_dim).all(-1) if self.event_dim else same).any(-1)


simplex = _Simplex()
one_hot = _OneHot()
unit_interval = _UnitInterval()
boolean = _Boolean()

biject_to.register(simplex, lambda _: transforms.StickBreakingTransform())
transform_to.register(simplex, lambda _: transforms.SoftmaxTransform())
biject_to.register(unit_interval, lambda _: transforms.SigmoidTransform())
transform_to.register(unit_interval, lambda _: transforms.SigmoidTransform())
