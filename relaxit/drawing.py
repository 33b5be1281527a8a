"""Figures written to files: no display, no global state of matplotlib, each file atomically."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from relaxit.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["blank_figure", "write_figure", "write_image"]


def blank_figure(
    width: float, height: float, layout: Literal["constrained"] | None = "constrained"
) -> Figure:
    """A figure to draw on.

    Args:
        width: in inches.
        height: in inches.
        layout: matplotlib's layout engine; None for one that is adjusted by hand.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def write_figure(figure: Figure, path: Path, dpi: int = 110, **options: Any) -> None:
    """Write a figure in the format that the file's ending names.

    Args:
        figure: what was drawn on.
        path: the file.
        dpi: pixels per inch.
        options: further arguments of ``Figure.savefig``.

    Raises:
        CheckpointError: if the file cannot be written; an older one stays as it is.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dpi, format=path.suffix[1:].lower(), **options)
    write_atomically(path, buffer.getvalue())


def write_image(pixels: NDArray[Any], path: Path, **options: Any) -> None:
    """Write pixels ``[height, width]`` or ``[height, width, 3]`` as a PNG file.

    Args:
        pixels: numbers in [0, 1].
        path: the file.
        options: further arguments of ``matplotlib.image.imsave``, such as ``cmap``.

    Raises:
        CheckpointError: if the file cannot be written; an older one stays as it is.
    """
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, pixels, format="png", **options)
    write_atomically(path, buffer.getvalue())
