"""The results of a gradient problem."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from relaxit.gradients.measure import SubjectMeasures
from relaxit.gradients.problem import GradientProblem
from relaxit.gradients.subject import State
from relaxit.relaxation import Relaxation

__all__ = ["EstimatorMeasurement", "GradientReport"]

Outcome = Literal["done", "unsupported", "failed"]


@dataclass(frozen=True)
class EstimatorMeasurement:
    """The result of one estimator at one temperature.

    Attributes:
        estimator: registered name.
        options: options of the estimator, as JSON values.
        state: ``none`` or ``warm`` for an estimator that keeps a state; empty otherwise.
        temperature: temperature of the distribution; None if the estimate does not depend on it, or
            there is no estimate.
        outcome: ``done``; ``unsupported`` if it does not apply; ``failed`` if it raised, or if
            estimates are not finite.
        reason: one line that explains any other outcome than ``done``.
        stated: number of evaluations of the cost for one estimate, as the estimator declares it.
        found: the measurements; None unless the outcome is ``done``.
    """

    estimator: str
    options: dict[str, Any] = field(default_factory=dict)
    state: State = ""
    temperature: float | None = None
    outcome: Outcome = "done"
    reason: str = ""
    stated: int | None = None
    result: SubjectMeasures | None = None

    @property
    def label(self) -> str:
        """Name of the estimator, with the state if it is warm."""
        return f"{self.estimator} (warm)" if self.state == "warm" else self.estimator

    def to_json(self) -> dict[str, Any]:
        """Return all fields as one flat table."""
        table = dataclasses.asdict(self)
        del table["result"]
        if self.result:
            result = dataclasses.asdict(self.result)
            table |= result.pop("measures") | result
        return table


@dataclass(frozen=True)
class GradientReport:
    """The result of one case of a problem, or of a problem that could not be set up.

    Attributes:
        problem: the problem.
        reason: why there are no measurements; empty if there are.
        failed: whether the reason is a defect of the problem, not an unsuitable input.
        code: exit code of the command line for the error in ``reason``; 0 without one.
        case: label of the case.
        relaxation: the structure; None if the case could not be set up.
        variables: number of variables that one cost depends on.
        points: number of points.
        states: number of enumerated joint values; None if the gradient is known in closed form.
        gradient_norm: root mean squared norm of the exact gradient over points.
        measurements: one measurement per estimator and temperature, sorted by mean squared error,
            those without measures last.
    """

    problem: GradientProblem
    reason: str = ""
    failed: bool = False
    code: int = 0
    case: str = ""
    relaxation: Relaxation | None = None
    variables: int = 0
    points: int = 0
    states: int | None = None
    gradient_norm: float = 0.0
    measurements: tuple[EstimatorMeasurement, ...] = ()

    @property
    def title(self) -> str:
        """Name of the problem and label of the case."""
        return f"{self.problem.name}, {self.case}" if self.case else self.problem.name

    @property
    def broken(self) -> bool:
        """Whether the problem or any estimator failed."""
        return self.failed or any(
            measurement.outcome == "failed" for measurement in self.measurements
        )

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        relaxation = self.relaxation
        return {
            "name": self.problem.name,
            "summary": self.problem.summary,
            "options": self.problem.options.model_dump(mode="json"),
            "reason": self.reason,
            "case": self.case,
            "relaxation": relaxation
            and {"name": relaxation.name, "options": relaxation.options.model_dump(mode="json")},
            "variables": self.variables,
            "points": self.points,
            "states": self.states,
            "gradient_norm": self.gradient_norm,
            "estimators": [measurement.to_json() for measurement in self.measurements],
        }
