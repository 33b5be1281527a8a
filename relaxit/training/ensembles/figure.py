"""The curves of an ensemble: means over seeds, with a band of one standard deviation each way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relaxit.drawing import blank_figure, write_figure
from relaxit.training.display import Display, Row
from relaxit.training.ensembles.summary import MetricSummary, metric_summary, metrics_of

__all__ = ["draw_ensemble_curves"]

_PARTS = ("train", "validation", "test")
_SMALL_RUN = 15  # epochs; with fewer, each point gets a marker
Runs = Sequence[Sequence[Row]]
"""The rows of several runs that differ in their seed only."""


def draw_ensemble_curves(groups: Sequence[tuple[str, Runs]], display: Display, path: Path) -> None:
    """Write one panel for each displayed metric to a PNG file, with epochs on the horizontal axis.

    A single group has one curve for each part of the data. Several groups have one curve each, for
    the last part that is present.

    Args:
        groups: title of each group of runs that differ in their seed only, and their metrics by
            epoch.
        display: its ``columns`` are shown; all metrics if it has none.
        path: the file, written atomically.
    """
    row = groups[0][1][0][-1]
    split = dict.fromkeys(key.partition("_")[2] for key in metrics_of(row))
    metrics = {m: display.columns.get(m, m) for m in display.columns or split if m in split}
    figure = blank_figure(4 * len(metrics), 3.6)
    for axes, (metric, heading) in zip(
        figure.subplots(1, len(metrics), squeeze=False)[0], metrics.items(), strict=True
    ):
        parts = [part for part in _PARTS if f"{part}_{metric}" in row]
        if len(groups) > 1:
            parts = parts[-1:]
        late: list[float] = []
        for title, runs in groups:
            for part in parts:
                epochs, spreads = _by_epoch(runs, f"{part}_{metric}")
                _plot(axes, epochs, spreads, title or part)
                late += _extent(spreads[len(spreads) // 10 :])
        _bound(axes, late)
        axes.set_title(heading if len(groups) == 1 else f"{heading}, {parts[0]}", fontsize=10)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    if any(len(runs) > 1 for _, runs in groups):
        figure.suptitle("mean ± standard deviation over seeds", fontsize=10)
    write_figure(figure, path)


def _by_epoch(runs: Runs, metric: str) -> tuple[list[float], list[MetricSummary]]:
    """Return the epochs at which all runs have the metric, and its summary at each."""
    tables = [{row["epoch"]: row[metric] for row in run if metric in row} for run in runs]
    common = sorted(set.intersection(*(set(values) for values in tables)))
    return common, [metric_summary([values[epoch] for values in tables]) for epoch in common]


def _plot(axes: Any, epochs: Sequence[float], spreads: Sequence[MetricSummary], label: str) -> None:
    marker = "o" if len(epochs) < _SMALL_RUN else None
    (line,) = axes.plot(epochs, [s.mean for s in spreads], label=label, marker=marker, markersize=3)
    if spreads and spreads[0].deviation is not None:
        low, high = np.array([_around(s) for s in spreads]).T
        axes.fill_between(epochs, low, high, color=line.get_color(), alpha=0.2, linewidth=0)


def _around(spread: MetricSummary) -> tuple[float, float]:
    width = spread.deviation or 0.0
    return spread.mean - width, spread.mean + width


def _extent(spreads: Sequence[MetricSummary]) -> list[float]:
    return [bound for spread in spreads for bound in _around(spread)]


def _bound(axes: Any, late: Sequence[float]) -> None:
    """Limit the axis to all but the first tenth of a long run, where the curves are steep."""
    values = np.array(late)[np.isfinite(late)]
    if len(values):
        margin = 0.05 * (values.max() - values.min()) or 0.01
        axes.set_ylim(values.min() - margin, values.max() + margin)
