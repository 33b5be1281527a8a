"""Figures of puzzles: pieces in the wrong place, and the rows of a sheet."""

from __future__ import annotations

import pytest
import torch
from matplotlib.image import imread
from seeded_steps import rng

from relaxit_permutation.tasks.jigsaw.figures import WRONG, draw_puzzles, strip
from relaxit_permutation.tasks.jigsaw.puzzle import Grid, shuffled


def test_a_strip_shows_pieces_in_black_and_wrong_ones_in_colour():
    grid = Grid((2, 2), 2)
    pieces = torch.tensor([[[1.0], [0.0], [0.5], [1.0]]])
    right = torch.tensor([[True, True, True, False]])
    sheet = strip(grid, pieces, right)
    height = sheet.shape[0]
    places = [(1, 1), (1, 3), (3, 1), (3, 3)]
    seen = [sheet[height * row // 4, height * column // 4] for row, column in places]
    torch.testing.assert_close(seen[0], torch.zeros(3))
    torch.testing.assert_close(seen[1], torch.ones(3))
    torch.testing.assert_close(seen[2], torch.full((3,), 0.5))
    torch.testing.assert_close(seen[3], torch.tensor(WRONG))
    blank = strip(grid, torch.zeros_like(pieces), right)[height * 3 // 4, height * 3 // 4]
    assert blank[0] > blank[1] + 0.05  # a wrong place shows even where it is blank
    assert not (strip(grid, pieces)[..., 0] > strip(grid, pieces)[..., 1] + 0.01).any()


@pytest.mark.parametrize("count", [1, 20])
def test_the_sheet_has_three_rows_per_block(tmp_path, count):
    puzzle = shuffled(torch.rand(count, 4, 16, generator=rng()), rng(1))
    draw_puzzles(Grid((8, 8), 2), puzzle, torch.arange(4).expand(count, 4), tmp_path / "a.png")
    image = torch.from_numpy(imread(tmp_path / "a.png"))[..., :3]
    blank = (image > 0.99).all(-1).all(-1)
    blocks = int((blank[1:] & ~blank[:-1]).sum()) + int(not blank[-1])
    assert blocks == 3 * -(-count // 10)
