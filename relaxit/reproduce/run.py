"""Trains the seeds of a cell: as one ensemble where that is faster, in turn otherwise."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from relaxit.config import RunConfig
from relaxit.errors import DivergenceError, Unsupported
from relaxit.training.ensemble import Ensemble
from relaxit.training.experiment import Experiment, build_members
from relaxit.training.loop import Trainer
from relaxit.training.report import Silent
from relaxit.training.stopping import StopRequest
from relaxit.training.task import Row

__all__ = ["CellRun", "Mode", "Progress", "pays", "run_cell"]

Mode = Literal["auto", "always", "never"]

_MOST_PRODUCTS = 50_000_000
"""Weights times batch size, above which a CPU gains nothing by an ensemble.

Ten seeds of a VAE on one core, time as an ensemble over time in turn: 0.41 at 3e5, 0.50 at 4e6,
0.60 at 1e7, 0.87 at 3.5e7, 1.03 at 1.1e8 (MNIST; 1.3 on two cores).
"""


class Progress(Protocol):
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


def pays(experiment: Experiment, seeds: int) -> bool:
    """Whether an ensemble is faster than as many runs in turn.

    On a GPU always: a small model leaves it idle most of the time. On a CPU only where a step is
    not arithmetic, for that is the same either way: a step of a hundred pictures through a network
    of a million weights takes as long, or longer, for ten weights of it at once fit no cache.
    """
    if seeds < 2:
        return False
    if experiment.device.type != "cpu":
        return True
    weights = sum(parameter.numel() for parameter in experiment.model.parameters())
    return weights * experiment.config.batch_size <= _MOST_PRODUCTS


def run_cell(
    config: RunConfig,
    seeds: Sequence[int],
    epochs: Collection[int],
    mode: Mode,
    progress: Progress,
    stop: StopRequest,
    download: bool = False,
) -> CellRun:
    """Train every seed of a configuration.

    Args:
        config: of the cell; its own seed is not used.
        seeds: at least one.
        epochs: after which of them the held-out parts are looked at.
        mode: whether as an ensemble; ``auto`` decides by :func:`pays`.
        progress: who is told.
        stop: true as soon as the run is to end.
        download: whether missing data files may be fetched.

    Raises:
        Unsupported: with ``always``, if the cell cannot be trained as an ensemble.
        RelaxitError: whatever is wrong with configuration or data.
    """
    members = build_members(config, seeds, download)
    began = time.perf_counter()
    ensemble, reason = None, ""
    if mode == "always" or (mode == "auto" and pays(members[0], len(seeds))):
        try:
            ensemble = Ensemble(members)
        except Unsupported as error:
            if mode == "always":
                raise
            reason = str(error)
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
    progress: Progress,
    stop: StopRequest,
) -> bool:
    """True if no signal ended it early."""
    done.rows = {seed: [] for seed in ensemble.seeds}
    for epoch in range(1, ensemble.experiments[0].config.epochs + 1):
        try:
            if not ensemble.run_epoch(stop):
                return False
        except DivergenceError:  # of all seeds
            done.lost = ensemble.lost
            return True
        done.lost = ensemble.lost
        rows = ensemble.rows(evaluate=epoch in epochs)
        for seed, row in rows.items():
            done.rows[seed].append(row)
        progress.epoch(None, next(iter(rows.values())))
        ensemble.next_epoch()
    return True


def _in_turn(
    done: CellRun,
    members: Sequence[Experiment],
    epochs: Collection[int],
    progress: Progress,
    stop: StopRequest,
) -> bool:
    """True if no signal ended it early."""
    for member in members:
        trainer, seed = Trainer(member), member.config.seed
        rows = done.rows.setdefault(seed, [])
        try:
            for epoch in range(1, member.config.epochs + 1):
                if not trainer.run_epoch(Silent(), stop):
                    return False
                rows.append(trainer.summary(True, evaluate=epoch in epochs))
                progress.epoch(seed, rows[-1])
                trainer.next_epoch()
        except DivergenceError:
            done.lost[seed] = int(trainer.guard.first_bad.step)
    return True
