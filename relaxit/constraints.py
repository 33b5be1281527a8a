"""Constraints on soft values and on vertices, with a tolerance that depends on the dtype.

torch's own ``simplex`` requires a sum within 1e-6 of one, which no bfloat16 vector meets. Here the
tolerance is at least the same 1e-6, so that a float32 vector stored as float64 still passes.

``torch.distributions.biject_to`` and ``transform_to`` map unconstrained numbers to soft values, as
Pyro's AutoNormal and NUTS need. They know the constraints on soft values that are here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import biject_to, constraints, transform_to, transforms

from relaxit.dtypes import compute_dtype, longest_dtype
from relaxit.tracing import may_branch_on_values

__all__ = [
    "boolean",
    "hull_by",
    "hull_of",
    "one_hot",
    "one_of",
    "simplex",
    "tolerance",
    "unit_interval",
    "vertices_by",
]


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


class hull_by(constraints.Constraint):
    """The convex hull of the values that a solver returns: soft values of a structure.

    A value outside is rejected if a direction proves it: no vertex lies as far in this direction.
    Directions are found by the Frank-Wolfe algorithm, which moves from vertex to vertex towards the
    value. So a value in the hull is never rejected, beyond rounding, and one that is just outside
    may be accepted.

    Args:
        argmax: returns the vertex ``[..., *event_shape]`` with the largest inner product with
            directions of the same shape.
        event_dim: number of dimensions of a value.
        steps: number of directions that are tried.

    Reference: Jaggi, "Revisiting Frank-Wolfe", ICML 2013, algorithm 1.

    Example:
        >>> cube = hull_by(lambda direction: (direction > 0).to(direction.dtype), event_dim=1)
        >>> cube.check(torch.tensor([[0.2, 1.0], [0.2, 1.1]]))
        tensor([ True, False])
    """

    def __init__(
        self, argmax: Callable[[Tensor], Tensor], event_dim: int, steps: int = 100
    ) -> None:
        self.argmax, self._event_dim, self.steps = argmax, event_dim, steps
        super().__init__()

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        return self._event_dim

    def check(self, value: Tensor) -> Tensor:
        batch = value.shape[: value.dim() - self.event_dim]
        y = value.detach().to(longest_dtype(value.device)).reshape(batch.numel(), -1)
        event = value.shape[len(batch) :]
        allowed = tolerance(value, y.shape[-1])
        finite = y.isfinite().all(-1)
        return (finite & self._contains(y.nan_to_num(), event, allowed)).reshape(batch)

    def _contains(self, y: Tensor, event: torch.Size, allowed: float) -> Tensor:
        """Return which rows of ``y``, ``[M, D]``, no direction proves to lie outside."""
        inside = torch.ones_like(y[:, 0], dtype=torch.bool)
        left = torch.arange(len(y), device=y.device)
        point = self._vertex(y, event)
        for _ in range(self.steps):
            direction = y - point
            vertex = self._vertex(direction, event)
            distance = direction.square().sum(-1).sqrt()
            beyond = (direction * (y - vertex)).sum(-1) > allowed * distance
            inside = inside.index_put((left,), inside[left] & ~beyond)
            move = vertex - point
            length = move.square().sum(-1).clamp_min(torch.finfo(y.dtype).tiny)
            step = ((direction * move).sum(-1) / length).clamp(0, 1)
            point = point + step.unsqueeze(-1) * move
            if may_branch_on_values(y):
                open_ = ~beyond & (distance > allowed)
                left, y, point = left[open_], y[open_], point[open_]
                if not len(left):
                    break
        return inside

    def _vertex(self, direction: Tensor, event: torch.Size) -> Tensor:
        vertex = self.argmax(direction.reshape(len(direction), *event))
        return vertex.to(direction.dtype).reshape(direction.shape)


class hull_of(hull_by):
    """The convex hull of the listed values: soft values of a structure with few values.

    Args:
        values: the values ``[N, *event_shape]``.

    Example:
        >>> triangle = hull_of(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]))
        >>> triangle.check(torch.tensor([[0.5, 0.2], [0.5, 0.6]]))
        tensor([ True, False])
    """

    def __init__(self, values: Tensor) -> None:
        self.values = values
        super().__init__(self._best, values.dim() - 1)

    def _best(self, direction: Tensor) -> Tensor:
        listed = self.values.to(direction)
        flat = direction.reshape(*direction.shape[: direction.dim() - self.event_dim], 1, -1)
        best = (flat * listed.reshape(len(listed), -1)).sum(-1).argmax(-1)
        return listed[best]


class vertices_by(constraints.Constraint):
    """The values of zeros and ones that a solver returns: hard values of a structure.

    A vector v of zeros and ones is the nearest of all such vectors to itself, that is, the one with
    the largest inner product with 2 v - 1. So it is a value if and only if the solver returns it
    for these scores.

    Args:
        argmax: as for :class:`hull_by`.
        event_dim: number of dimensions of a value.

    Example:
        >>> largest = lambda s: (s == s.amax(-1, keepdim=True)).to(s.dtype)
        >>> vertices_by(largest, event_dim=1).check(torch.tensor([[0.0, 1.0], [0.0, 0.5]]))
        tensor([ True, False])
    """

    is_discrete = True

    def __init__(self, argmax: Callable[[Tensor], Tensor], event_dim: int) -> None:
        self.argmax, self._event_dim = argmax, event_dim
        super().__init__()

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        return self._event_dim

    def check(self, value: Tensor) -> Tensor:
        y = value.detach().to(longest_dtype(value.device))
        bits = (y == 0) | (y == 1)
        same = bits & (self.argmax(2 * torch.where(bits, y, 0) - 1).to(y.dtype) == y)
        return same.flatten(y.dim() - self.event_dim).all(-1) if self.event_dim else same


simplex = _Simplex()
one_hot = _OneHot()
unit_interval = _UnitInterval()
boolean = _Boolean()

biject_to.register(simplex, lambda _: transforms.StickBreakingTransform())
transform_to.register(simplex, lambda _: transforms.SoftmaxTransform())
biject_to.register(unit_interval, lambda _: transforms.SigmoidTransform())
transform_to.register(unit_interval, lambda _: transforms.SigmoidTransform())
