"""Trains the members of an ensemble, each with a run directory of its own if files are wanted.

They train as one batched step where that is faster, otherwise in turn by
:func:`relaxit.training.train`. The files are the same in both cases, and each member can be
evaluated, drawn and resumed separately.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Sequence
from typing import Protocol

from relaxit.drawing import errors_as_warnings
from relaxit.errors import DivergenceError
from relaxit.markdown import pipe_table
from relaxit.training.callbacks import Callback
from relaxit.training.display import Row
from relaxit.training.ensembles.directory import EnsembleDirectory
from relaxit.training.ensembles.figure import draw_ensemble_curves
from relaxit.training.ensembles.members import EnsembleOutcome, Member
from relaxit.training.ensembles.plan import Mode, runs_batched
from relaxit.training.ensembles.together import train_together
from relaxit.training.loop import train
from relaxit.training.stopping import StopRequest

__all__ = ["EnsembleCallback", "train_members"]


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
            with progress.watch(None) as callback:
                train_together(
                    ensemble, members, callback, stop, evaluated, lambda: _write(outcome, directory)
                )
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
