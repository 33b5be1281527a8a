"""Trains the members of an ensemble, each with a run directory of its own if files are wanted.

They train as one batched step where that is faster, otherwise in turn by
:func:`relaxit.training.train`. The files are the same in both cases, and each member can be
evaluated, drawn and resumed separately.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from relaxit.drawing import errors_as_warnings
from relaxit.errors import DivergenceError
from relaxit.json_text import without_nan
from relaxit.markdown import pipe_table
from relaxit.training.callbacks import Callback
from relaxit.training.ensembles.batched import Ensemble
from relaxit.training.ensembles.directory import EnsembleDirectory
from relaxit.training.ensembles.figure import draw_ensemble_curves
from relaxit.training.ensembles.plan import Mode, runs_batched
from relaxit.training.ensembles.summary import mean_row, metric_summary, metrics_of, table
from relaxit.training.experiment import Experiment
from relaxit.training.loop import train
from relaxit.training.runs import Recorder, RunDirectory
from relaxit.training.stopping import StopRequest
from relaxit.training.task import Row
from relaxit.training.trainer import Trainer

__all__ = ["EnsembleCallback", "EnsembleOutcome", "Member", "train_members"]


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


class EnsembleCallback(Protocol):
    """Interface of the callback that is notified of the progress of an ensemble."""

    def began(self, way: str, reason: str) -> None:
        """Called when training begins.

        Args:
            way: ``one step`` or ``in turn``.
            reason: why batching, which would be faster, is not possible; empty otherwise.
        """

    def watch(self, member: Member | None) -> contextlib.AbstractContextManager[Callback]:
        """Return the callback for the member that trains next, or for all together if None."""


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


def train_members(
    members: Sequence[Member],
    progress: EnsembleCallback,
    directory: EnsembleDirectory | None = None,
    mode: Mode = "auto",
    evaluated: Collection[int] | None = None,
) -> EnsembleOutcome:
    """Train all members to the last epoch or until a signal; the directory is then complete.

    A member whose loss is no longer finite gets its last good weights back and is left out; the
    others are not affected.

    Args:
        members: at least one member, all of one task and data set.
        progress: callback that is notified of progress.
        directory: directory of the ensemble, which must exist; None writes no summary.
        mode: whether to batch the members in one step, see
            :func:`relaxit.training.ensembles.plan.runs_batched`.
        evaluated: epochs after which the held-out parts are evaluated; all if None.

    Raises:
        Unsupported: with ``always``, if the members cannot be trained as one step.
        CheckpointError: if a file cannot be written.
    """
    outcome = EnsembleOutcome(list(members))
    began = time.perf_counter()
    ensemble, outcome.reason = runs_batched([member.experiment for member in members], mode)
    outcome.way = "in turn" if ensemble is None else "one step"
    progress.began(outcome.way, outcome.reason)
    with StopRequest() as stop:
        _write(outcome, directory)
        if ensemble is None:
            _in_turn(outcome, directory, progress, stop, evaluated)
        else:
            _together(ensemble, outcome, directory, progress, stop, evaluated)
        outcome.seconds = time.perf_counter() - began
        unfinished = any(member.state in ("waiting", "stopped") for member in members)
        outcome.exit_code = stop.exit_code if unfinished else 0
        if directory:
            _conclude(outcome, directory)
    return outcome


def _write(outcome: EnsembleOutcome, directory: EnsembleDirectory | None) -> None:
    if directory:
        directory.write(outcome.summary())


def _conclude(outcome: EnsembleOutcome, directory: EnsembleDirectory) -> None:
    """Write the files that summarise the members."""
    directory.write(outcome.summary())
    directory.write_table(pipe_table(*outcome.table()) + "\n")
    lines = [(title, [m.rows for m in members]) for title, members in outcome.groups]
    if lines:
        display = outcome.members[0].experiment.display
        with errors_as_warnings():
            draw_ensemble_curves(lines, display, directory.curves)


def _in_turn(
    outcome: EnsembleOutcome,
    directory: EnsembleDirectory | None,
    progress: EnsembleCallback,
    stop: StopRequest,
    evaluated: Collection[int] | None,
) -> None:
    for member in outcome.members:
        if stop:
            break
        member.open()
        with progress.watch(member) as callback:
            keeping = _Keeping(callback, member.rows)
            try:
                done = train(member.experiment, member.run, keeping, evaluated=evaluated)
            except DivergenceError as error:
                member.lose(error)
            else:
                member.state = "stopped" if done.exit_code else "finished"
        _write(outcome, directory)


class _Keeping:
    """A callback that keeps the rows of all epochs, also of a run that diverges later."""

    def __init__(self, callback: Callback, rows: list[Row]) -> None:
        self.rows = rows
        self.callback, self.ready, self.step = callback, callback.ready, callback.step

    def epoch(self, row: Row) -> None:
        self.rows.append(row)
        self.callback.epoch(row)


def _together(
    ensemble: Ensemble,
    outcome: EnsembleOutcome,
    directory: EnsembleDirectory | None,
    progress: EnsembleCallback,
    stop: StopRequest,
    evaluated: Collection[int] | None,
) -> None:
    members, epochs = outcome.members, ensemble.experiments[0].config.epochs
    trainers = [Trainer(e) for e in ensemble.experiments]  # now that their weights are views
    for member in members:
        member.open()
    with contextlib.ExitStack() as stack:
        recorders = [
            stack.enter_context(Recorder(member.run, member.experiment)) for member in members
        ]
        callback = stack.enter_context(progress.watch(None))
        while ensemble.epoch < epochs and not stop:
            for number in _sound(members):
                trainers[number].guard.trust(ensemble.step)
            try:
                finished = ensemble.run_epoch(stop, callback)
            except DivergenceError:  # of all members; each is recorded as diverged below
                finished = False
            _part_from_lost(ensemble, members, trainers, recorders)
            evaluate = evaluated is None or ensemble.epoch + 1 in evaluated
            for number in _sound(members):
                _bring_up(trainers[number], ensemble, number)
                members[number].rows.append(trainers[number].summary(finished, evaluate))
                recorders[number].log(members[number].rows)
            if not _sound(members):
                break
            callback.epoch(mean_row([members[number].rows[-1] for number in _sound(members)]))
            if finished:
                ensemble.next_epoch()
            if recorders[0].due:
                _save(ensemble, members, trainers, recorders)
                _write(outcome, directory)
        _save(ensemble, members, trainers, recorders)
        for number in _sound(members):
            members[number].state = "finished" if ensemble.epoch == epochs else "stopped"
            recorders[number].draw(members[number].rows)


def _sound(members: Sequence[Member]) -> list[int]:
    """Return the indices of the members that are training and have not diverged."""
    return [number for number, member in enumerate(members) if member.state == "training"]


def _bring_up(trainer: Trainer, ensemble: Ensemble, number: int) -> None:
    """Bring the trainer of a member, which shares its weights, to the state of the ensemble."""
    trainer.epoch, trainer.position = ensemble.epoch, ensemble.position
    trainer.step = ensemble.step
    trainer.seconds = ensemble.seconds / len(ensemble.experiments)  # its share
    trainer.totals = ensemble.totals[number]
    trainer.generator = ensemble.generators[number]


def _part_from_lost(
    ensemble: Ensemble,
    members: Sequence[Member],
    trainers: Sequence[Trainer],
    recorders: Sequence[Recorder],
) -> None:
    """Restore the last good weights of members that diverged in this epoch, and save them."""
    for number, step in ensemble.lost.items():
        member, guard = members[number], trainers[number].guard
        if member.state != "training":
            continue
        guard.first_bad.step.fill_(step)
        try:
            guard.settle()
        except DivergenceError as error:
            member.lose(error)
        recorders[number].save_weights()
        recorders[number].draw(member.rows)


def _save(
    ensemble: Ensemble,
    members: Sequence[Member],
    trainers: Sequence[Trainer],
    recorders: Sequence[Recorder],
) -> None:
    """Write weights and state of all members that have not diverged."""
    moments = ensemble.optimizer.state_dict()["state"]
    for number in _sound(members):
        trainer = trainers[number]
        _bring_up(trainer, ensemble, number)
        state = trainer.optimizer.state_dict()
        state["state"] = {key: _part(stacked, number) for key, stacked in moments.items()}
        trainer.optimizer.load_state_dict(state)
        recorders[number].save(trainer)


def _part(stacked: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return the optimizer state of one member; the step count is shared by all members."""
    return {key: value[number] if value.dim() else value for key, value in stacked.items()}


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
