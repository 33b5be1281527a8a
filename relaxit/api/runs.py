"""Several runs that differ in their seed: their means, and how they are trained."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Iterator, Sequence
from pathlib import Path

from relaxit.api.launch import require_finished
from relaxit.api.progress import progress_of
from relaxit.api.run import Run
from relaxit.environment import flushed_denormals
from relaxit.errors import ConfigurationError
from relaxit.training import Callback, RunConfig
from relaxit.training.ensembles import (
    Member,
    MetricSummary,
    Plan,
    metric_summary,
    open_members,
    train_members,
)

__all__ = ["Runs", "train_seeds"]


class Runs(list[Run]):
    """Runs that differ in their seed only, with the means of their last metrics.

    Attributes:
        diverged: messages of runs whose loss was not finite; they are left out.
    """

    diverged: list[str]

    def __init__(self, runs: Sequence[Run], diverged: Sequence[str] = ()) -> None:
        super().__init__(runs)
        self.diverged = [*diverged]

    @property
    def summary(self) -> dict[str, MetricSummary]:
        """Mean, deviation and standard error of the last value of each metric, over the runs."""
        rows = [run.metrics[-1] for run in self if run.metrics]
        names = [name for name in rows[0] if all(name in row for row in rows)] if rows else []
        return {name: metric_summary([row[name] for row in rows]) for name in names}

    def to_html(self) -> str:
        """Return the table that a notebook shows."""
        lines = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{m.mean:.4g}</td>"
            f"<td>{'' if m.error is None else f'{m.error:.2g}'}</td></tr>"
            for name, m in self.summary.items()
        )
        head = f"<tr><th>mean of {len(self)} runs</th><th></th><th>standard error</th></tr>"
        return f"<table>{head}{lines}</table>"

    _repr_html_ = to_html


def train_seeds(
    config: RunConfig,
    seeds: Sequence[int],
    path: Path | None,
    overwrite: bool,
    download: bool,
    progress: bool,
) -> Runs:
    """Train a configuration with several seeds, as ``relaxit train --ensemble`` does.

    Raises:
        RelaxitError: for any problem with settings or data, before anything is written.
        DivergenceError: if the loss of every run is not finite.
    """
    if not seeds:
        raise ConfigurationError("seeds must be a number from 1, or a list of seeds")
    plan = Plan(seeds=tuple(seeds))
    members, directory = open_members(config, plan, path, overwrite, download)
    with flushed_denormals():
        outcome = train_members(members, _Progress(members, progress), directory)
    require_finished(outcome.exit_code, directory.path)
    outcome.require_any()
    sound = [member for member in members if member.state != "diverged"]
    runs = [_run(member, directory.path / member.name) for member in sound]
    return Runs(runs, [f"{m.name}: {m.reason}" for m in members if m.state == "diverged"])


def _run(member: Member, path: Path) -> Run:
    e = member.experiment
    return Run(e.config, e.task, e.setup, e.model, member.rows, path, e)


class _Progress:
    """Shows the progress of each member, or of all together."""

    def __init__(self, members: Sequence[Member], shown: bool) -> None:
        self.members, self.shown = members, shown

    def began(self, way: str, reason: str) -> None:
        pass

    @contextlib.contextmanager
    def watch(self, member: Member | None) -> Iterator[Callback]:
        experiment = (member or self.members[0]).experiment
        count = 1 if member else len(self.members)
        with progress_of(experiment, None, self.shown, count) as callback:
            yield callback
