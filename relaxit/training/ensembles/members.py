"""The members of an ensemble, and what has become of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from relaxit.errors import DivergenceError
from relaxit.json_text import without_nan
from relaxit.training.display import Row
from relaxit.training.ensembles.summary import metric_summary, metrics_of, table
from relaxit.training.experiment import Experiment
from relaxit.training.runs import RunDirectory

__all__ = ["EnsembleOutcome", "Member", "sound"]


@dataclass
class Member:
    """One run of an ensemble.

    Attributes:
        name: name of its directory.
        experiment: its experiment.
        run: its run directory; None if no files are written.
        rows: metrics of its epochs so far.
        state: ``waiting`` until it begins, ``training``, ``finished``, ``stopped`` by a signal, or
            ``diverged``.
        reason: error message if it diverged.
        diverged_at: first step whose loss was not finite; None if there was none.
    """

    name: str
    experiment: Experiment
    run: RunDirectory | None = None
    rows: list[Row] = field(default_factory=list)
    state: Literal["waiting", "training", "finished", "stopped", "diverged"] = "waiting"
    reason: str = ""
    diverged_at: int | None = None

    @property
    def seed(self) -> int:
        return self.experiment.config.seed

    @property
    def temperature(self) -> float:
        """Temperature at step 0."""
        return self.experiment.config.temperature.initial

    def open(self, overwrite: bool = True) -> None:
        """Create the run directory, if there is one."""
        if self.run:
            self.run.create(overwrite)
            self.run.write_config(self.experiment.config, self.experiment.data.format)
        self.state = "training"

    def lose(self, error: DivergenceError) -> None:
        """Mark the member as diverged."""
        self.state, self.reason, self.diverged_at = "diverged", str(error), error.step


@dataclass
class EnsembleOutcome:
    """Result of an ensemble.

    Attributes:
        members: all members, including those that diverged or did not begin.
        way: ``one step`` or ``in turn``.
        reason: why batching, which would be faster, was not possible; empty otherwise.
        seconds: duration from the first step to the last figure.
        exit_code: 0, 130 (Ctrl-C) or 143 (SIGTERM).
    """

    members: list[Member]
    way: str = ""
    reason: str = ""
    seconds: float = 0.0
    exit_code: int = 0

    @property
    def compared(self) -> list[Member]:
        """Members that can be compared: not diverged, and with the largest number of steps."""
        sound = [m for m in self.members if m.rows and m.state != "diverged"]
        furthest = max((m.rows[-1]["step"] for m in sound), default=0)
        return [m for m in sound if m.rows[-1]["step"] == furthest]

    def require_any(self) -> None:
        """Check that not all members have diverged.

        Raises:
            DivergenceError: with the reason of the first.
        """
        if all(member.state == "diverged" for member in self.members):
            raise DivergenceError(f"every run diverged: {self.members[0].reason}")

    @property
    def groups(self) -> list[tuple[str, list[Member]]]:
        """The members :attr:`compared`, grouped by temperature, with a title for each group.

        The title is empty if there is only one temperature.
        """
        by_tau: dict[float, list[Member]] = {}
        for member in self.compared:
            by_tau.setdefault(member.temperature, []).append(member)
        several = len({member.temperature for member in self.members}) > 1
        return [(f"temperature {tau}" if several else "", group) for tau, group in by_tau.items()]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return column headings and rows of cells, see :func:`.summary.table`."""
        last = [(title, {m.name: m.rows[-1] for m in members}) for title, members in self.groups]
        return table(last, self.members[0].experiment.display)

    def summary(self) -> dict[str, Any]:
        """Return the content of ``ensemble.json``."""
        return {
            "way": self.way,
            "reason": self.reason,
            "seconds": self.seconds,
            "exit_code": self.exit_code,
            "members": [_about(member) for member in self.members],
            "groups": [_about_group(members) for _, members in self.groups],
        }


def sound(members: Sequence[Member]) -> list[int]:
    """Return the indices of the members that are training and have not diverged."""
    return [number for number, member in enumerate(members) if member.state == "training"]


def _about(member: Member) -> dict[str, Any]:
    about = {
        "name": member.name,
        "seed": member.seed,
        "temperature": member.temperature,
        "state": member.state,
    }
    if member.reason:
        about["reason"] = member.reason
    last = member.rows[-1] if member.rows else {}
    return {**about, "metrics": without_nan(last)}


def _about_group(members: Sequence[Member]) -> dict[str, Any]:
    last = [member.rows[-1] for member in members]
    spreads = {key: metric_summary([row[key] for row in last]) for key in metrics_of(last[0])}
    return {
        "temperature": members[0].temperature,
        "seeds": [member.seed for member in members],
        "metrics": without_nan(
            {
                key: {"mean": spread.mean, "standard_error": spread.error}
                for key, spread in spreads.items()
            }
        ),
    }
