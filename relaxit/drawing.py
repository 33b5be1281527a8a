"""Write figures to files, atomically, without a display or global state of matplotlib."""

from __future__ import annotations

import importlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from relaxit.errors import RelaxitError, error_summary
from relaxit.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["blank_figure", "errors_as_warnings", "write_figure", "write_image"]


@contextmanager
def errors_as_warnings() -> Iterator[None]:
    """Context for drawing at the end of a run, in which an error costs the figures only.

    Errors that relaxit raises on purpose, as for a disk that is full, are not changed.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as caught, errors_as_warnings():
        ...     warnings.simplefilter("always")
        ...     raise ImportError("no fonts")
        >>> print(caught[0].message)
        no figures: ImportError: no fonts
    """
    try:
        yield
    except RelaxitError:
        raise
    except Exception as error:  # of any type: drawing loads a library with settings of its own
        warnings.warn(f"no figures: {error_summary(error)}", stacklevel=3)


def _import_matplotlib() -> None:
    """Import matplotlib, whose import fails if MPLBACKEND names a backend that it does not know.

    Figures are written to files, which needs no backend. As on import, the named one is made the
    user's setting, if it is known.
    """
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", "")
    try:
        matplotlib = importlib.import_module("matplotlib")
    finally:
        if backend:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend


def blank_figure(
    width: float, height: float, layout: Literal["constrained"] | None = "constrained"
) -> Figure:
    """Create an empty figure.

    Args:
        width: width in inches.
        height: height in inches.
        layout: matplotlib's layout engine; None to adjust the layout by hand.
    """
    _import_matplotlib()
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
    _import_matplotlib()
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, pixels, format="png", **options)
    write_atomically(path, buffer.getvalue())
