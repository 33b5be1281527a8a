"""What came of a gradient problem."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from relaxit.gradients.measure import SubjectMeasures
from relaxit.gradients.problem import GradientProblem
from relaxit.gradients.subject import State
from relaxit.relaxation import Relaxation

__all__ = ["EstimatorMeasurement", "GradientReport"]

Outcome = Literal["done", "refused", "failed"]


@dataclass(frozen=True)
class EstimatorMeasurement:
    """What came of one estimator at one temperature.

    Attributes:
        estimator: registered name.
        options: its options, in values that JSON has.
        state: empty, or, of an estimator that keeps something, ``none`` or ``warm``.
        temperature: of the law; None if the estimate does not depend on it, or none was made.
        outcome: ``done``; ``refused`` if it does not apply; ``failed`` if it raised, or if
            estimates are not finite.
        reason: why it was refused or failed, in one line.
        stated: evaluations of the cost that it says it makes for one estimate.
        found: the figures; None unless done.
    """

    estimator: str
    options: dict[str, Any] = field(default_factory=dict)
    state: State = ""
    temperature: float | None = None
    outcome: Outcome = "done"
    reason: str = ""
    stated: int | None = None
    found: SubjectMeasures | None = None

    @property
    def label(self) -> str:
        """Name, with the state if it is a warm one."""
        return f"{self.estimator} (warm)" if self.state == "warm" else self.estimator

    def to_json(self) -> dict[str, Any]:
        """All of it as one flat table."""
        table = dataclasses.asdict(self)
        del table["found"]
        if self.found:
            found = dataclasses.asdict(self.found)
            table |= found.pop("measures") | found
        return table


@dataclass(frozen=True)
class GradientReport:
    """What came of one case of a problem, or of a problem that could not be set up.

    Attributes:
        problem: the problem.
        reason: why there are no figures; empty if there are.
        failed: whether that reason is a mistake of the problem's own, and no refusal.
        code: exit code that the command line has for a refusal of this kind; 0 without one.
        case: label of the case.
        relaxation: the structure; None if it never came so far.
        variables: number of variables of one cost.
        points: number of points.
        states: joint values that were enumerated; None if the gradient is known in closed form.
        gradient_norm: root of the mean squared norm of the exact gradient at a point.
        measurements: one an estimator and temperature, those done first, least squared error first.
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
        """Whether anything failed that was not refused."""
        return self.failed or any(each.outcome == "failed" for each in self.measurements)

    def to_json(self) -> dict[str, Any]:
        """All of it in values that JSON has."""
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
            "estimators": [each.to_json() for each in self.measurements],
        }
