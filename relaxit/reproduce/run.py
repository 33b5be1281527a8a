"""Training of all seeds of a cell: as one ensemble where that is faster, else in turn."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from relaxit.training import Callback, Row, RunConfig, SilentCallback, build_members
from relaxit.training.ensembles import Member, Mode, train_members

__all__ = ["CellRun", "StudyCallback", "run_cell"]


class StudyCallback(Protocol):
    """Callback for the progress of a cell."""

    def began(self, way: str, seeds: int) -> None:
        """Called at the start with the way in which the seeds are trained."""

    def epoch(self, seed: int | None, row: Row) -> None:
        """Called after an epoch of one seed, or of all (None) with means over them."""


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
        download: whether missing data files may be downloaded.

    Raises:
        Unsupported: with ``always``, if the cell cannot be trained as an ensemble.
        RelaxitError: for any problem with configuration or data.
    """
    members = [Member(f"seed-{e.config.seed}", e) for e in build_members(config, seeds, download)]
    outcome = train_members(members, _Relay(progress, len(seeds)), None, mode, epochs)
    return CellRun(
        way=_WAYS[outcome.way],
        rows={member.seed: member.rows for member in members if member.rows},
        lost={m.seed: m.diverged_at for m in members if m.diverged_at is not None},
        seconds=outcome.seconds,
        finished=outcome.exit_code == 0,
        reason=outcome.reason,
    )


_WAYS = {"one step": "ensemble", "in turn": "in turn"}


class _Relay:
    """Passes the progress of an ensemble on to the callback of a study."""

    def __init__(self, progress: StudyCallback, seeds: int) -> None:
        self.progress, self.seeds = progress, seeds

    def began(self, way: str, reason: str) -> None:
        self.progress.began(_WAYS[way], self.seeds)

    @contextlib.contextmanager
    def watch(self, member: Member | None) -> Iterator[Callback]:
        yield _Epochs(self.progress, None if member is None else member.seed)


class _Epochs(SilentCallback):
    def __init__(self, progress: StudyCallback, seed: int | None) -> None:
        self.progress, self.seed = progress, seed

    def epoch(self, row: Row) -> None:
        self.progress.epoch(self.seed, row)
