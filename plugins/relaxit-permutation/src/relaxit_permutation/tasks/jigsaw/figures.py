"""Figures of puzzles: the original, scrambled and recovered images."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from relaxit.drawing import blank_figure, write_figure
from relaxit_permutation.tasks.jigsaw.puzzle import Grid, Puzzle, arranged

__all__ = ["WRONG", "draw_puzzles", "strip"]

WRONG = (0.84, 0.15, 0.16)
"""Red, green and blue, in [0, 1], of pixels in a wrong place."""

_COLUMNS = 10
_LINE = (0.7, 0.8, 0.95)  # between pieces
_GAP = 3  # pixels of such a line
_SIDE = 112  # approximate size of an image in pixels


def strip(grid: Grid, pieces: Tensor, right: Tensor | None = None) -> Tensor:
    """Draw enlarged images side by side, ``[height, width, 3]``, with lines between their pieces.

    Args:
        grid: grid of the pieces.
        pieces: pieces ``[B, n, F]`` with pixels in [0, 1]; 1 is drawn in black.
        right: places ``[B, n]`` with the right pixels. The others are drawn in :data:`WRONG`, on a
            background of the same colour, so that blank pieces are visible as well.
    """
    count, n, _ = pieces.shape
    factor = max(1, _SIDE // max(grid.size))
    height, width = (factor * side for side in grid.piece)
    ink = pieces.reshape(count, n, *grid.piece, 1)
    ink = ink.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    cells = 1 - ink.expand(-1, -1, -1, -1, 3)
    if right is not None:
        wrong = cells.new_tensor(WRONG)
        tinted = cells * (1 - 0.15 * (1 - wrong)) + (1 - cells) * wrong
        cells = torch.where(right[..., None, None, None], cells, tinted)
    framed = cells.new_tensor(_LINE).repeat(count, n, height + _GAP, width + _GAP, 1)
    framed[:, :, _GAP:, _GAP:] = cells
    rows = framed.reshape(count, grid.side, grid.side, height + _GAP, width + _GAP, 3)
    images = rows.transpose(2, 3).flatten(3, 4).flatten(1, 2)[:, _GAP:, _GAP:]
    spaced = cells.new_ones(count, images.shape[1], images.shape[2] + 4 * _GAP, 3)
    spaced[:, :, : -4 * _GAP] = images
    return spaced.transpose(0, 1).flatten(1, 2)


def draw_puzzles(grid: Grid, puzzle: Puzzle, order: Tensor, path: Path) -> None:
    """Write a PNG file of puzzles, ten per block: original, scrambled and recovered.

    Args:
        grid: grid of the pieces.
        puzzle: solution and shuffled pieces.
        order: index ``[B, n]`` of the piece in each place.
        path: path of the file, which is written atomically.
    """
    recovered, right = arranged(puzzle.pieces, order), puzzle.in_place(order)
    rows = []
    for start in range(0, len(recovered), _COLUMNS):
        block = slice(start, start + _COLUMNS)
        rows += [
            ("original", strip(grid, puzzle.solution[block])),
            ("scrambled", strip(grid, puzzle.pieces[block])),
            ("recovered", strip(grid, recovered[block], right[block])),
        ]
    shape, shown = rows[0][1].shape, min(len(recovered), _COLUMNS)
    height = 9.2 * shown / _COLUMNS * shape[0] / shape[1]  # inches
    figure = blank_figure(9.2, len(rows) * (height + 0.1), layout=None)
    figure.subplots_adjust(0, 0, 1, 1, hspace=0.1)
    for axes, (label, sheet) in zip(
        figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows, strict=True
    ):
        axes.imshow(sheet.cpu().numpy(), interpolation="nearest")
        axes.set_ylabel(label, rotation=0, ha="right", va="center")
        axes.set(xticks=[], yticks=[], anchor="W")
        axes.spines[:].set_visible(False)
    write_figure(figure, path, dpi=130, bbox_inches="tight")
