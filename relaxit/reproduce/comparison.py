"""Comparison of our mean over seeds with a target, in standard errors of both together."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from relaxit.reproduce.study import Cell, Study, Target, TargetError
from relaxit.training import Row, RunConfig, build_task

__all__ = ["Comparison", "Verdict", "compare", "reached"]

Verdict = Literal["agrees", "off", "no error known", "diverged"]


@dataclass(frozen=True)
class Comparison:
    """One quantity of one cell after one epoch.

    Attributes:
        size, estimator: size and estimator of the cell.
        epoch: number of finished epochs.
        column: name of the quantity.
        values: our values, one per seed that did not diverge; finite.
        target: value with which they are compared.
        target_error: standard error of the target; None if it is not available.
        tolerance: largest ``|z|`` that counts as agreement.
        diverged: seeds whose loss was not finite up to that epoch, or this value after it.
    """

    size: str
    estimator: str
    epoch: int
    column: str
    values: tuple[float, ...]
    target: float
    target_error: float | None
    tolerance: float
    diverged: tuple[int, ...] = ()

    @property
    def mean(self) -> float:
        """Our mean over seeds; NaN if none is left."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def error(self) -> float | None:
        """Standard error of our mean; None for fewer than two seeds."""
        if len(self.values) < 2:
            return None
        return statistics.stdev(self.values) / math.sqrt(len(self.values))

    @property
    def z(self) -> float | None:
        """Difference of our mean and the target in standard errors; None without an error."""
        if self.error is None or self.target_error is None:
            return None
        apart, error = self.mean - self.target, math.hypot(self.error, self.target_error)
        if error == 0:
            return 0.0 if apart == 0 else math.copysign(math.inf, apart)
        return apart / error

    @property
    def verdict(self) -> Verdict:
        if self.diverged:
            return "diverged"
        if self.z is None:
            return "no error known"
        return "agrees" if abs(self.z) <= self.tolerance else "off"

    @property
    def failed(self) -> bool:
        """Whether the cell is off or has a seed that diverged."""
        return self.verdict in ("off", "diverged")


def reached(study: Study, cell: Cell, config: RunConfig) -> list[Target]:
    """Return the targets with which a run of this configuration can be compared.

    If a schedule spans the whole run, the first epochs of a shorter run are not those of a longer
    one: then only a run of the study's own length is compared, at its end.

    Args:
        study: the study.
        cell: one of its cells.
        config: configuration of the cell, with the number of epochs that is run.
    """
    within = [target for target in cell.targets if target.epoch <= config.epochs]
    if _epochs_are_alike(config):
        return within
    full = study.config(cell).epochs
    return [target for target in within if target.epoch == full == config.epochs]


def _epochs_are_alike(config: RunConfig) -> bool:
    """Whether no setting of a step depends on the number of epochs of the run."""
    t, o = config.temperature, config.optimizer
    by_step = t.schedule == "exponential" and t.rate is not None
    task, _ = build_task(config)
    by_length = [[task.schedules(step, steps) for step in (1, 10, 999)] for steps in (1000, 9999)]
    return (
        (by_step or t.schedule in ("constant", "learned"))
        and o.schedule == "constant"
        and not o.warmup
        and by_length[0] == by_length[1]
    )


def compare(
    study: Study,
    cell: Cell,
    targets: Sequence[Target],
    rows: Mapping[int, Sequence[Row]],
    lost: Mapping[int, int] = {},
    tolerance: float | None = None,
) -> Iterator[Comparison]:
    """Compare everything in a cell that has a target.

    Args:
        study: the study.
        cell: one of its cells.
        targets: result of :func:`reached`.
        rows: metrics by seed, one row per epoch.
        lost: seeds that diverged, each with the step.
        tolerance: replaces the tolerance of the study.
    """
    for target in targets:
        by_seed = {
            seed: row
            for seed, seed_rows in rows.items()
            for row in seed_rows
            if row["epoch"] == target.epoch
        }
        missing = {seed for seed in lost if _last(rows.get(seed, ())) < target.epoch}
        for column, value in target.values.items():
            metric, sign = study.columns[column].metric, study.columns[column].sign
            ours = {seed: sign * float(row[metric]) for seed, row in by_seed.items()}
            # A held-out part may have no finite value although all training losses are finite.
            values = tuple(value for value in ours.values() if math.isfinite(value))
            bad = {seed for seed, value in ours.items() if not math.isfinite(value)}
            yield Comparison(
                size=cell.size,
                estimator=cell.estimator,
                epoch=target.epoch,
                column=column,
                values=values,
                target=value,
                target_error=_error(target, study.error, values),
                tolerance=study.tolerance if tolerance is None else tolerance,
                diverged=tuple(sorted(missing | bad)),
            )


def _last(rows: Sequence[Row]) -> int:
    return max((int(row["epoch"]) for row in rows), default=0)


def _error(target: Target, rule: TargetError | None, values: Sequence[float]) -> float | None:
    if target.error is not None:
        return target.error
    if rule is None or len(values) < 2:
        return None
    error = statistics.stdev(values) / math.sqrt(rule.seeds)
    return min(max(error, rule.least), rule.most)
