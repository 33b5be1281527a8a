"""A figure of bias against variance: one panel per case, one marker per estimator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relaxit.drawing import blank_figure, write_figure
from relaxit.gradients.report import EstimatorMeasurement, GradientReport

__all__ = ["ENDINGS", "draw_bias_and_variance"]

ENDINGS = (".png", ".pdf", ".svg")
"""Suffixes of the file formats that can be written."""

_MARKERS = "osD^v<>Ph*Xpd"
_COLUMNS = 3
_SIZES = (11.0, 8.5, 6.0)  # so that overlapping markers can be told apart
_NOTHING = 1e-9  # smaller numbers are 0 up to rounding


def draw_bias_and_variance(reports: Sequence[GradientReport], path: Path) -> None:
    """Write a figure of relative bias (x) against relative variance (y), both on log scales.

    A hollow marker with a dash to the left has a bias that cannot be told from zero; it is drawn at
    its noise level. Exact zeros are drawn on the edge. Grey lines join equal mean squared errors.
    Cases without measurements are left out.

    Args:
        reports: reports of :func:`relaxit.gradients.measure_problem`, at least one of them with
            measurements.
        path: the file, written atomically. Its suffix, one of :data:`ENDINGS`, selects the format.
    """
    shown = [report for report in reports if any(row.result for row in report.measurements)]
    labels = dict.fromkeys(
        row.label for report in shown for row in report.measurements if row.result
    )
    styles = {label: _style(number) for number, label in enumerate(sorted(labels))}
    columns = min(_COLUMNS, max(1, len(shown)))
    rows = -(-max(1, len(shown)) // columns)
    figure = blank_figure(4.4 * columns + 2.3, 3.9 * rows + 0.3)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, report in zip(panels, shown, strict=False):
        _draw(axes, report, styles)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    handles = [_handle(label, style) for label, style in styles.items()]
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=9)
    write_figure(figure, path, dpi=100)


def _style(number: int) -> dict[str, Any]:
    from matplotlib import colormaps

    colours = [*colormaps["tab10"].colors, *colormaps["Dark2"].colors]  # type: ignore[attr-defined]
    return {
        "color": colours[number % len(colours)],
        "marker": _MARKERS[number % len(_MARKERS)],
        "markersize": _SIZES[number % len(_SIZES)],
    }


def _handle(label: str, style: dict[str, Any]) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none", label=label, **style)


def _draw(axes: Any, report: GradientReport, styles: dict[str, dict[str, Any]]) -> None:
    axes.set(xscale="log", yscale="log", title=report.title)
    axes.title.set_fontsize(9)
    axes.set_xlabel("bias / |exact gradient|", fontsize=9)
    axes.set_ylabel("variance / |exact gradient|$^2$", fontsize=9)
    done = [row for row in report.measurements if row.result]
    left, bottom = _frame(axes, done)
    for label, style in styles.items():
        mine = [(row, *_place(row, left, bottom)) for row in done if row.label == label]
        if len(mine) > 1:  # temperatures
            line = [place[1:3] for place in mine]
            axes.plot(*zip(*line, strict=True), color=style["color"], linewidth=0.7, alpha=0.6)
        for row, x, y, hollow in mine:
            look = {**style, "markeredgewidth": 1.3, "clip_on": False, "alpha": 0.9}
            order = 10 - style["markersize"] / 10  # smaller markers on top
            if hollow:
                axes.plot([x / 1.7, x], [y, y], color=style["color"], linewidth=1.3, zorder=2)
                look["markerfacecolor"] = "white"
            axes.plot(x, y, linestyle="none", zorder=order, **look)
            if len(mine) > 1:
                axes.annotate(
                    f"{row.temperature:g}",
                    (x, y),
                    xytext=(5, 4),
                    textcoords="offset points",
                    fontsize=7,
                )


def _place(row: EstimatorMeasurement, left: float, bottom: float) -> tuple[float, float, bool]:
    """Return the position of a marker, and whether it is hollow."""
    assert row.result is not None
    m = row.result.measures
    return max(m.bias, m.noise_level, left), max(m.variance, bottom), m.bias < m.noise_level


def _frame(axes: Any, done: Sequence[EstimatorMeasurement]) -> tuple[float, float]:
    """Set limits and draw lines of equal mean squared error; return the left and lower limit."""
    measures = [row.result.measures for row in done if row.result]
    across, upwards = [max(m.bias, m.noise_level) for m in measures], [m.variance for m in measures]
    (left, right), (bottom, top) = limits = [_limits(across), _limits(upwards)]
    axes.set(xlim=limits[0], ylim=limits[1])
    steps = [left * (right / left) ** (i / 400) for i in range(401)]
    for power in range(math.floor(math.log10(bottom)), math.ceil(math.log10(top)) + 1):
        line = [(x, 10.0**power - x * x) for x in steps if 10.0**power - x * x > bottom / 10]
        if line:
            axes.plot(*zip(*line, strict=True), color="0.85", linewidth=0.8, zorder=0)
    axes.tick_params(labelsize=8)
    for dimension, values in (("x", across), ("y", upwards)):
        if min(values) < _NOTHING:
            axis = getattr(axes, f"{dimension}axis")
            axis.set_major_formatter(_with_zero(limits[dimension == "y"][0]))
    return left, bottom


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Return powers of ten around the non-zero values, a decade lower if there are zeros."""
    positive = [value for value in values if value >= _NOTHING] or [1.0]
    low = math.floor(math.log10(min(positive)) - 0.1) - (min(values) < _NOTHING)
    return 10.0**low, 10.0 ** math.ceil(math.log10(max(positive)) + 0.1)


def _with_zero(edge: float) -> Any:
    """Return a formatter of powers of ten, with 0 at the edge."""
    from matplotlib.ticker import FuncFormatter

    def text(value: float, position: int | None) -> str:
        del position
        return "0" if value <= edge * 1.001 else f"$10^{{{round(math.log10(value))}}}$"

    return FuncFormatter(text)
