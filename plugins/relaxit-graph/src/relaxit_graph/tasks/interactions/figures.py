"""Figures: true graph, inferred graph and trajectories side by side, and curves of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from relaxit.drawing import blank_figure, write_figure
from relaxit.training import Curve, Panel, Row, draw_curves

__all__ = ["draw_graphs", "draw_metrics"]

_LEAST = 0.02  # marginals below are not drawn


def draw_graphs(inputs: Tensor, marginals: Tensor, true: Tensor | None, path: Path) -> None:
    """Write a figure with a row for each example.

    It shows the true graph, if it is known; the inferred one, whose edges are as wide as they are
    probable, and red where there is no true edge; and the trajectories, of which the first two
    features are taken as positions, faint at the beginning.

    Args:
        inputs: trajectories ``[B, T, N, F]``.
        marginals: probabilities ``[B, N, N]`` of the edges.
        true: true graphs ``[B, N, N]`` of zeros and ones, if they are known.
        path: path of the file, which is written atomically.
    """
    inputs, marginals = inputs.cpu(), marginals.double().cpu()
    true = None if true is None else true.double().cpu()
    titles = [*(["true graph"] if true is not None else []), "inferred graph", "trajectories"]
    figure = blank_figure(2.6 * len(titles), 2.6 * len(inputs))
    sheet = figure.subplots(len(inputs), len(titles), squeeze=False)
    for row, axes in enumerate(sheet):
        if true is not None:
            _graph(axes[0], true[row], true[row])
        _graph(axes[-2], marginals[row], None if true is None else true[row])
        _trajectories(axes[-1], inputs[row])
    for axes, title in zip(sheet[0], titles, strict=True):
        axes.set_title(title)
    write_figure(figure, path)


def draw_metrics(rows: Sequence[Row], path: Path) -> None:
    """Write curves of loss, prediction error and KL, and of the edges if they are compared."""
    error = [Curve(f"{part}_squared_error", part) for part in ("validation", "test")]
    edges = [
        Curve(f"{part}_{name}", f"{name}, {part}", style=style)
        for part, style in (("validation", "--"), ("test", "-"))
        for name in ("precision", "recall")
    ]
    divergence = [Curve(f"{part}_kl", part) for part in ("validation", "test")]
    panels = [
        Panel("training loss", [Curve("train_loss", "train")]),
        Panel("squared error", error, from_zero=True),
        Panel("KL in nats", divergence),
        Panel("edges", edges),
    ]
    seen = {key for row in rows for key in row}
    shown = [p for p in panels if any(curve.metric in seen for curve in p.curves)]
    draw_curves(shown, rows, path)


def _graph(axes: Any, weights: Tensor, true: Tensor | None) -> None:
    """Draw a graph with its nodes on a circle."""
    nodes = len(weights)
    angle = torch.arange(nodes) * (2 * torch.pi / nodes)
    x, y = angle.sin().tolist(), angle.cos().tolist()
    for i in range(nodes):
        for j in range(i):
            weight = float(weights[i, j])
            wrong = true is not None and not true[i, j]
            if weight >= _LEAST:
                colour = "tab:red" if wrong else "0.25"
                axes.plot([x[i], x[j]], [y[i], y[j]], color=colour, linewidth=4 * weight, zorder=1)
    axes.scatter(x, y, s=90, c=[f"C{i % 10}" for i in range(nodes)], zorder=2)
    axes.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal")
    axes.set_axis_off()


def _trajectories(axes: Any, states: Tensor) -> None:
    """Draw the positions of all nodes ``[T, N, F]``; with one feature, over time."""
    frames, nodes, features = states.shape
    time = torch.arange(frames, dtype=states.dtype)
    for i in range(nodes):
        x, y = (states[:, i, 0], states[:, i, 1]) if features > 1 else (time, states[:, i, 0])
        axes.plot(x.tolist(), y.tolist(), color=f"C{i % 10}", linewidth=1, alpha=0.5)
        fade = torch.linspace(0.15, 1, frames).tolist()
        axes.scatter(x.tolist(), y.tolist(), s=12, color=f"C{i % 10}", alpha=fade, linewidths=0)
    axes.set(xticks=[], yticks=[])
    if features > 1:
        axes.set_aspect("equal", adjustable="datalim")
