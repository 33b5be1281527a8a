"""Metrics over the members of an ensemble: means, standard errors and tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relaxit.training.display import Display, Row

__all__ = [
    "Cells",
    "MetricSummary",
    "mean_row",
    "metric_summary",
    "metrics_of",
    "table",
]

_PARTS = ("train", "validation", "test")
Cells = list[list[str]]


@dataclass(frozen=True)
class MetricSummary:
    """Mean and spread of one metric over runs.

    Attributes:
        count: number of runs.
        mean: mean over the runs.
        deviation: standard deviation over the runs; None for fewer than two.
    """

    count: int
    mean: float
    deviation: float | None

    @property
    def error(self) -> float | None:
        """Standard error of the mean; None for fewer than two runs."""
        return None if self.deviation is None else self.deviation / math.sqrt(self.count)


def metric_summary(values: Sequence[float]) -> MetricSummary:
    """Compute the summary of at least one value.

    Example:
        >>> metric_summary([1.0, 2.0, 3.0, 4.0]).mean
        2.5
        >>> round(metric_summary([1.0, 2.0, 3.0, 4.0]).error, 4)  # sqrt(5 / 3) / 2
        0.6455
        >>> metric_summary([1.0]).error is None
        True
    """
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return MetricSummary(len(values), statistics.fmean(values), deviation)


def mean_row(rows: Sequence[Row]) -> dict[str, float | int]:
    """Average the rows of one epoch over members; times are summed.

    Args:
        rows: rows of members that trained together, each with its share of the time.
    """
    mean: dict[str, float | int] = {}
    for key, value in rows[0].items():
        common = key in ("epoch", "step", "partial")
        mean[key] = value if common else statistics.fmean(row[key] for row in rows)
    mean["seconds"] = sum(row["seconds"] for row in rows)
    return mean


def metrics_of(row: Row) -> list[str]:
    """Return the names of the metrics of the data parts."""
    return [key for key in row if key.startswith(tuple(f"{part}_" for part in _PARTS))]


def table(
    groups: Sequence[tuple[str, Mapping[str, Row]]], display: Display
) -> tuple[list[str], Cells]:
    """Return column headings, and rows of cells for all members and for means over groups.

    Args:
        groups: title of each group of runs that differ in their seed only, and the last rows of
            its members by name.
        display: the metrics that are shown, and their number of decimals.

    Example:
        >>> shown = Display(columns={"error": "error"}, decimals=2)
        >>> rows = {"seed-0": {"test_error": 0.5}, "seed-1": {"test_error": 0.7}}
        >>> table([("", rows)], shown)[1]
        [['seed-0', '0.50'], ['seed-1', '0.70'], ['mean ± s.e. of 2', '0.60 ± 0.10']]
    """
    every = [row for _, members in groups for row in members.values()]
    keys = _shown(every[0], display) if every else {}
    cells: Cells = []
    for title, members in groups:
        for name, row in members.items():
            cells.append([name, *(_number(row.get(key), display.decimals) for key in keys)])
        if len(members) > 1:
            head = f"mean ± s.e. of {len(members)}" + (f", {title}" if title else "")
            cells.append([head, *(_plus_minus(members, key, display.decimals) for key in keys)])
    return ["", *keys.values()], cells


def _shown(row: Row, display: Display) -> dict[str, str]:
    """Return headings by metric, of the held-out parts or else of the training part."""
    held_out = [part for part in _PARTS[1:] if any(k.startswith(f"{part}_") for k in row)]
    headings = {
        f"{part}_{metric}": f"{part} {heading}"
        for part in held_out or ["train"]
        for metric, heading in display.columns.items()
        if f"{part}_{metric}" in row
    }
    return headings or {key: key.replace("_", " ") for key in metrics_of(row)}


def _number(value: float | int | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def _plus_minus(members: Mapping[str, Row], key: str, decimals: int) -> str:
    values = [row[key] for row in members.values() if key in row]
    if len(values) < 2:
        return ""
    summary = metric_summary(values)
    return f"{summary.mean:.{decimals}f} ± {summary.error:.{decimals}f}"
