"""The subject of a measurement: an estimator, with or without its state, at one temperature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from relaxit.errors import ShapeError
from relaxit.estimators import (
    DrawEstimator,
    Estimator,
    SampleEstimator,
    StatefulEstimator,
    surrogate_with,
)
from relaxit.gradients.problem import Point, ProblemCase
from relaxit.relaxation import Relaxation

__all__ = ["State", "Subject", "warmed_up"]

State = Literal["", "none", "warm"]
"""Whether a stateful estimator is measured without state or after some steps; else empty."""

_ROWS, _RATE = 64, 0.01


@dataclass(frozen=True)
class Subject:
    """An estimator at one temperature.

    Attributes:
        estimator: the estimator.
        temperature: temperature of the distribution.
        state: state of the estimator, in evaluation mode; None for no state.
    """

    estimator: Estimator
    temperature: float
    state: nn.Module | None = None

    @property
    def acts_given_a_draw(self) -> bool:
        """Whether the estimate is a function of the hard sample and further noise alone."""
        kind: Any = type(self.estimator)
        return (
            isinstance(self.estimator, DrawEstimator)
            and kind.sample is DrawEstimator.sample
            and kind.surrogate is SampleEstimator.surrogate
        )

    def estimates(
        self, relaxation: Relaxation, point: Point, rows: int, generator: torch.Generator
    ) -> tuple[Tensor, float]:
        """Compute independent estimates, and the evaluations of the cost per estimate.

        Returns:
            The estimates ``[rows, D]``, where D is the number of entries of params; and the number
            of values passed to the cost, divided by ``rows``.
        """
        params = _rows_of(point.params, rows)
        q = relaxation(params, self.temperature, validate_args=False)
        width = params.shape[1] * relaxation.event_shape.numel()  # entries of a joint value
        values = 0

        def counted(z: Tensor) -> Tensor:
            nonlocal values
            values += z.numel() // width
            return point.cost(z)

        costs = surrogate_with(self.state, self.estimator, q, counted, generator)
        if costs.shape != (rows,):
            raise ShapeError(
                f"the surrogate of {rows} rows has shape {list(costs.shape)}, expected [{rows}]"
            )
        (estimates,) = torch.autograd.grad(costs.sum(), params)
        return estimates.flatten(1), values / rows

    def estimates_given(
        self,
        relaxation: Relaxation,
        point: Point,
        hard: Tensor,
        slopes: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Compute estimates ``[rows, D]`` given the draws and the slopes of the cost there.

        The cost itself is not called: its slope at a vertex is the same for all estimators.
        """
        params = _rows_of(point.params, len(hard))
        q = relaxation(params, self.temperature, validate_args=False)
        assert isinstance(self.estimator, DrawEstimator)
        value = self.estimator.given(q, hard, generator)
        if not torch.equal(value, hard):
            raise ShapeError("given() returns a value other than the hard sample passed to it")
        (estimates,) = torch.autograd.grad(value, params, slopes)
        return estimates.flatten(1)


def _rows_of(params: Tensor, rows: int) -> Tensor:
    """Copy params for each row, so that each row has its own gradient."""
    return params.detach().expand(rows, *params.shape).clone().requires_grad_()


def warmed_up(
    estimator: StatefulEstimator,
    case: ProblemCase,
    temperature: float,
    steps: int,
    generator: torch.Generator,
) -> nn.Module:
    """Return the state of the estimator after ``steps`` steps at the points of a case.

    Params are fixed. Each step uses several rows of every point, as training uses a batch of
    images. A state with parameters is trained by Adam at a learning rate of 0.01.
    """
    params = torch.stack([point.params for point in case.points])  # [points, V, *param_shape]
    state = estimator.build_state(case.relaxation, case.variables).to(params)
    state.train()
    weights = [weight for weight in state.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=_RATE) if weights else None
    place = -2 - len(case.relaxation.event_shape)  # dimension of the points in a value

    def cost(z: Tensor) -> Tensor:  # [..., points, V, *event] -> [..., points]
        parts = zip(case.points, z.unbind(place), strict=True)
        return torch.stack([point.cost(part) for point, part in parts], -1)

    rows = max(1, _ROWS // len(case.points))
    for _ in range(steps):
        q = case.relaxation(_rows_of(params, rows), temperature, validate_args=False)
        loss = estimator.surrogate(q, cost, generator, state).mean()
        state.zero_grad(set_to_none=True)
        loss.backward()
        if optimizer:
            optimizer.step()
    return state.eval()
