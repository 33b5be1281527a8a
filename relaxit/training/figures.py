"""Figures for tasks: grids of images, and curves of metrics by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from relaxit.drawing import blank_figure, write_figure, write_image

__all__ = ["Curve", "Panel", "draw_curves", "draw_grid", "panels"]

_WIDTH = 720  # pixels; small images are enlarged by an integer factor, without blur
_PARTS = ("train", "validation", "test")
_SMALL_RUN = 15  # epochs; with fewer, each point gets a marker


def draw_grid(images: Tensor, size: tuple[int, int], columns: int, path: Path) -> None:
    """Write images row by row to a PNG file, with 1 in black.

    Args:
        images: values in [0, 1], ``[N, height * width]``.
        size: height and width of an image.
        columns: images per row.
        path: the file, written atomically.
    """
    height, width = size
    rows = -(-len(images) // columns)
    cells = np.ones((rows * columns, height + 1, width + 1), dtype=np.float32)
    cells[: len(images), :height, :width] = 1 - images.cpu().numpy().reshape(-1, height, width)
    blocks = cells.reshape(rows, columns, height + 1, width + 1).swapaxes(1, 2)
    sheet = blocks.reshape(rows * (height + 1), columns * (width + 1))
    factor = max(1, _WIDTH // sheet.shape[1])
    sheet = sheet.repeat(factor, 0).repeat(factor, 1)
    write_image(sheet, path, cmap="gray", vmin=0, vmax=1)


@dataclass(frozen=True)
class Curve:
    """One metric by epoch, multiplied by ``sign``; epochs without it are skipped."""

    metric: str
    label: str
    sign: float = 1
    style: str = "-"


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis.

    Attributes:
        label: label of the vertical axis.
        curves: the curves that are drawn.
        focus: metrics whose later values set the limits of the axis; empty to show everything.
        from_zero: whether the axis begins at 0.
    """

    label: str
    curves: Sequence[Curve]
    focus: Sequence[str] = ()
    from_zero: bool = False


def panels(rows: Sequence[Mapping[str, float]]) -> list[Panel]:
    """Return one panel for each metric of the data parts, and one for the temperature.

    Example:
        >>> row = {"epoch": 1, "temperature": 1.0, "train_loss": 2.0, "test_error": 0.5}
        >>> [panel.label for panel in panels([row])]
        ['loss', 'error', '']
    """
    split = [key.partition("_") for key in rows[-1]]
    metrics = dict.fromkeys(metric for part, _, metric in split if part in _PARTS)
    metric_panels = [
        Panel(metric, [Curve(f"{part}_{metric}", part) for part in _PARTS]) for metric in metrics
    ]
    return [*metric_panels, Panel("", [Curve("temperature", "temperature")], from_zero=True)]


def draw_curves(shown: Sequence[Panel], rows: Sequence[Mapping[str, float]], path: Path) -> None:
    """Write the panels side by side to a PNG file, with epochs on the horizontal axis."""
    figure = blank_figure(4 * len(shown), 3.6)
    for axes, panel in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for curve in panel.curves:
            _plot(axes, rows, curve)
        if panel.label:
            axes.set_ylabel(panel.label)
        if panel.focus:
            _focus(axes, rows, panel.focus)
        if panel.from_zero:
            axes.set_ylim(bottom=0)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    write_figure(figure, path)


def _plot(axes: Any, rows: Sequence[Mapping[str, float]], curve: Curve) -> None:
    points = [(row["epoch"], curve.sign * row[curve.metric]) for row in rows if curve.metric in row]
    if points:
        marker = "o" if len(points) < _SMALL_RUN else None
        axes.plot(
            *zip(*points, strict=True), curve.style, label=curve.label, marker=marker, markersize=3
        )


def _focus(axes: Any, rows: Sequence[Mapping[str, float]], metrics: Sequence[str]) -> None:
    """Limit the axis to all but the first tenth of a long run, where the curves are steep."""
    late = rows[len(rows) // 10 :]
    values = [abs(row[key]) for row in late for key in metrics if key in row]
    margin = 0.05 * (max(values) - min(values)) + 1
    axes.set_ylim(min(values) - margin, max(values) + margin)
