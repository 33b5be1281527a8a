"""Training of all seeds of a cell: as one ensemble where that is faster, else in turn."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from relaxit.errors import DivergenceError
from relaxit.training import (
    Experiment,
    Row,
    RunConfig,
    SilentCallback,
    StopRequest,
    Trainer,
    build_members,
)
from relaxit.training.ensembles import Ensemble, Mode, runs_batched

__all__ = ["CellRun", "StudyCallback", "run_cell"]


class StudyCallback(Protocol):
    """Callback for the progress of a cell."""

    def began(self, way: str, seeds: int) -> None:
        """Called at the start with the way in which the seeds are trained."""

    def epoch(self, seed: int | None, row: Row) -> None:
        """Called after an epoch of one seed, or of all (None) with the metrics of the first."""


@dataclass
class CellRun:
    """The results of training a cell.

    Attributes:
        way: ``ensemble`` or ``in turn``.
        rows: metrics by seed, one row per epoch.
        lost: seeds whose loss was not finite, each with the first such step.
        seconds: duration of training and evaluation.
        finished: whether it ran to its end, not stopped by a signal.
        reason: why the seeds were not trained as an ensemble although that was requested.
    """

    way: str
    rows: dict[int, list[Row]] = field(default_factory=dict)
    lost: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0
    finished: bool = False
    reason: str = ""


def run_cell(
    config: RunConfig,
    seeds: Sequence[int],
    epochs: Collection[int],
    mode: Mode,
    progress: StudyCallback,
    stop: StopRequest,
    download: bool = False,
) -> CellRun:
    """Train every seed of a configuration.

    Args:
        config: configuration of the cell; its own seed is not used.
        seeds: seeds to train, at least one.
        epochs: epochs after which the held-out parts are evaluated.
        mode: whether to train as an ensemble; ``auto`` decides by
            :func:`~relaxit.training.ensembles.plan.batching_pays`.
        progress: callback for the progress.
        stop: true as soon as the run should end.
        download: whether missing data files may be downloaded.

    Raises:
        Unsupported: with ``always``, if the cell cannot be trained as an ensemble.
        RelaxitError: for any problem with configuration or data.
    """
    members = build_members(config, seeds, download)
    began = time.perf_counter()
    ensemble, reason = runs_batched(members, mode)
    done = CellRun("in turn" if ensemble is None else "ensemble", reason=reason)
    progress.began(done.way, len(seeds))
    if ensemble is None:
        done.finished = _in_turn(done, members, epochs, progress, stop)
    else:
        done.finished = _together(done, ensemble, epochs, progress, stop)
    done.seconds = time.perf_counter() - began
    return done


def _together(
    done: CellRun,
    ensemble: Ensemble,
    epochs: Collection[int],
    progress: StudyCallback,
    stop: StopRequest,
) -> bool:
    """Train the seeds as one ensemble; return whether no signal stopped it."""
    seeds = [e.config.seed for e in ensemble.experiments]
    done.rows = {seed: [] for seed in seeds}
    for epoch in range(1, ensemble.experiments[0].config.epochs + 1):
        try:
            if not ensemble.run_epoch(stop):
                return False
        except DivergenceError:  # of all seeds
            done.lost = _by_seed(ensemble.lost, seeds)
            return True
        done.lost = _by_seed(ensemble.lost, seeds)
        rows = ensemble.rows(evaluate=epoch in epochs)
        for number, row in rows.items():
            done.rows[seeds[number]].append(row)
        progress.epoch(None, next(iter(rows.values())))
        ensemble.next_epoch()
    return True


def _by_seed(steps: dict[int, int], seeds: Sequence[int]) -> dict[int, int]:
    return {seeds[number]: step for number, step in steps.items()}


def _in_turn(
    done: CellRun,
    members: Sequence[Experiment],
    epochs: Collection[int],
    progress: StudyCallback,
    stop: StopRequest,
) -> bool:
    """Train the seeds in turn; return whether no signal stopped it."""
    for member in members:
        trainer, seed = Trainer(member), member.config.seed
        rows = done.rows.setdefault(seed, [])
        try:
            for epoch in range(1, member.config.epochs + 1):
                if not trainer.run_epoch(SilentCallback(), stop):
                    return False
                rows.append(trainer.summary(True, evaluate=epoch in epochs))
                progress.epoch(seed, rows[-1])
                trainer.next_epoch()
        except DivergenceError:
            done.lost[seed] = int(trainer.guard.first_bad.step)
    return True
