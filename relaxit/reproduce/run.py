"""Trains the seeds of a cell: as one ensemble where that is faster, in turn otherwise."""

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
    """Who is told how a cell goes."""

    def began(self, way: str, seeds: int) -> None:
        """How its seeds are trained."""

    def epoch(self, seed: int | None, row: Row) -> None:
        """An epoch has ended: of one seed, or of all together with the metrics of the first."""


@dataclass
class CellRun:
    """What training a cell gave.

    Attributes:
        way: ``ensemble`` or ``in turn``.
        rows: metrics of the epochs that were looked at, by seed.
        lost: seeds whose loss was not finite, each with the first such step.
        seconds: of training and evaluation.
        finished: whether no signal ended it early.
        reason: why the seeds were not trained as an ensemble, though that was wanted.
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
        config: of the cell; its own seed is not used.
        seeds: at least one.
        epochs: after which of them the held-out parts are looked at.
        mode: whether as an ensemble; ``auto`` decides by
            :func:`~relaxit.training.ensembles.plan.batching_pays`.
        progress: who is told.
        stop: true as soon as the run is to end.
        download: whether missing data files may be fetched.

    Raises:
        Unsupported: with ``always``, if the cell cannot be trained as an ensemble.
        RelaxitError: whatever is wrong with configuration or data.
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
    """True if no signal ended it early."""
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
    """True if no signal ended it early."""
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
