"""Write figures to files, atomically, without a display or global state of matplotlib."""

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
    """Create an empty figure.

    Args:
        width: width in inches.
        height: height in inches.
        layout: matplotlib's layout engine; None to adjust the layout by hand.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def write_figure(figure: Figure, path: Path, dpi: int = 110, **options: Any) -> None:
    """Write a figure in the format of the file's suffix.

    Args:
        figure: the figure.
        path: path of the file.
        dpi: pixels per inch.
        options: further arguments of ``Figure.savefig``.

    Raises:
        CheckpointError: if the file cannot be written; an existing file is left unchanged.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dpi, format=path.suffix[1:].lower(), **options)
    write_atomically(path, buffer.getvalue())


def write_image(pixels: NDArray[Any], path: Path, **options: Any) -> None:
    """Write pixels ``[height, width]`` or ``[height, width, 3]`` as a PNG file.

    Args:
        pixels: numbers in [0, 1].
        path: path of the file.
        options: further arguments of ``matplotlib.image.imsave``, such as ``cmap``.

    Raises:
        CheckpointError: if the file cannot be written; an existing file is left unchanged.
    """
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, pixels, format="png", **options)
    write_atomically(path, buffer.getvalue())
