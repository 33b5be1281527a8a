"""Our mean over seeds against a target, in standard errors of both together."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from relaxit.reproduce.study import Cell, Study, Target, TargetError
from relaxit.training import Row, RunConfig

__all__ = ["Comparison", "Verdict", "compare", "reached"]

Verdict = Literal["agrees", "off", "no error known", "diverged"]


@dataclass(frozen=True)
class Comparison:
    """One quantity of one cell after one epoch.

    Attributes:
        size, estimator: the cell.
        epoch: epochs that had ended.
        column: which quantity.
        values: ours, one a seed that did not diverge; finite.
        target: what they are compared with.
        target_error: its standard error; None if it cannot be had.
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
        """Ours, over seeds; NaN if none is left."""
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
        """Whether the cell is off, be it for a seed that diverged."""
        return self.verdict in ("off", "diverged")


def reached(study: Study, cell: Cell, config: RunConfig) -> list[Target]:
    """The targets that a run of this configuration can be compared with.

    If a schedule spans the whole run, the first epochs of a shorter one are not those of a longer
    one: then only a run of the study's own length counts, at its end.

    Args:
        study: the study.
        cell: one of its cells.
        config: of the cell, with the number of epochs that is run.
    """
    within = [target for target in cell.targets if target.epoch <= config.epochs]
    if _epochs_are_alike(config):
        return within
    own = study.config(cell).epochs
    return [target for target in within if target.epoch == own == config.epochs]


def _epochs_are_alike(config: RunConfig) -> bool:
    """Whether no setting of a step depends on the number of epochs that follow."""
    t, o = config.temperature, config.optimizer
    by_step = t.schedule == "exponential" and t.rate is not None
    return (
        (by_step or t.schedule in ("constant", "learned"))
        and o.schedule == "constant"
        and not (o.warmup or config.objective.kl_warmup)
    )


def compare(
    study: Study,
    cell: Cell,
    targets: Sequence[Target],
    rows: Mapping[int, Sequence[Row]],
    lost: Mapping[int, int] = {},
    tolerance: float | None = None,
) -> Iterator[Comparison]:
    """Everything of a cell that has a target.

    Args:
        study: the study.
        cell: one of its cells.
        targets: of :func:`reached`.
        rows: metrics by seed, a row an epoch that was looked at.
        lost: seeds that diverged, each with the step.
        tolerance: in the place of the study's.
    """
    for target in targets:
        found = {
            seed: row
            for seed, every in rows.items()
            for row in every
            if row["epoch"] == target.epoch
        }
        missing = {seed for seed in lost if _last(rows.get(seed, ())) < target.epoch}
        for column, value in target.values.items():
            reading = study.columns[column]
            read = {seed: reading.sign * float(row[reading.metric]) for seed, row in found.items()}
            # A held-out part may have no finite value though every loss of training has one.
            values = tuple(value for value in read.values() if math.isfinite(value))
            bad = {seed for seed, value in read.items() if not math.isfinite(value)}
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
    own = statistics.stdev(values) / math.sqrt(rule.seeds)
    return min(max(own, rule.least), rule.most)
