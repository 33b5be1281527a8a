"""The gallery: its scripts, their lines of code, and the panels of their figures."""

from __future__ import annotations

import io
import tokenize
from pathlib import Path

import numpy as np
from matplotlib.image import imread

from tests.scripts import EXAMPLES

GALLERY = EXAMPLES / "gallery"
SCRIPTS = sorted(GALLERY.glob("*.py"))
SPACE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
}  # fmt: skip


def lines_of_code(source: str) -> int:
    """Lines with code, without comments, empty lines and texts that stand alone (docstrings)."""
    lines: set[int] = set()
    previous = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        alone = token.type == tokenize.STRING and previous in (
            tokenize.NEWLINE, tokenize.INDENT, tokenize.NL,
        )  # fmt: skip
        if token.type not in SPACE and not alone:
            lines |= set(range(token.start[0], token.end[0] + 1))
        if token.type not in (tokenize.COMMENT,):
            previous = token.type
    return len(lines)


def panels(path: Path, rows: int = 1, columns: int = 1) -> list[np.ndarray]:
    """The parts ``[height, width, 3]`` of a figure that hold its panels, row by row.

    Raises:
        AssertionError: if the figure has less than 300 pixels on a side.
    """
    image = imread(path)[..., :3]
    assert min(image.shape[:2]) >= 300
    return [
        part
        for row in np.array_split(image, rows, axis=0)
        for part in np.array_split(row, columns, axis=1)
    ]


def ink(panel: np.ndarray) -> float:
    """The share of pixels that are not white; of axes without data, less than 0.04."""
    return float((panel.min(-1) < 0.9).mean())


def colour(panel: np.ndarray) -> float:
    """The share of pixels with a colour; of axes without data, 0."""
    return float((panel.max(-1) - panel.min(-1) > 0.2).mean())
