"""Cutting, shuffling and joining of images."""

from __future__ import annotations

import itertools

import pytest
import torch
from scipy import stats
from seeded_steps import rng

from relaxit_permutation.tasks.jigsaw.puzzle import Grid, Puzzle, arranged, shuffled


def test_pieces_are_those_of_the_grid_row_by_row():
    image = torch.arange(24).reshape(1, 4, 6)
    grid = Grid((4, 6), 2)
    pieces = grid.cut(image)
    assert pieces.shape == (1, 4, 6)
    assert torch.equal(pieces[0, 0].reshape(2, 3), image[0, :2, :3])
    assert torch.equal(pieces[0, 1].reshape(2, 3), image[0, :2, 3:])
    assert torch.equal(pieces[0, 2].reshape(2, 3), image[0, 2:, :3])
    assert torch.equal(pieces[0, 3].reshape(2, 3), image[0, 2:, 3:])


@pytest.mark.parametrize(("size", "side"), [((4, 6), 2), ((6, 6), 3), ((8, 4), 4), ((5, 5), 1)])
def test_joining_undoes_cutting(size, side):
    grid, images = Grid(size, side), torch.rand(3, *size)
    assert torch.equal(grid.joined(grid.cut(images)), images.flatten(1))


def test_a_known_shuffle_is_undone():
    solution = torch.rand(50, 9, 4, generator=rng())
    puzzle = shuffled(solution, rng(1))
    noise = torch.rand(50, 9, generator=rng(1))
    came_from = noise.argsort(-1)  # piece j of the puzzle is piece came_from[j] of the image
    order = came_from.argsort(-1)
    assert torch.equal(arranged(puzzle.pieces, order), solution)
    assert puzzle.in_place(order).all()
    p = torch.nn.functional.one_hot(order, 9).float()  # rows are places, columns pieces
    torch.testing.assert_close(p @ puzzle.pieces, solution)
    assert (puzzle.in_place(came_from)).float().mean() < 0.3  # the inverse is another order


def test_all_orders_are_equally_likely():
    solution = torch.arange(3.0).expand(6000, 3).unsqueeze(-1)
    found = shuffled(solution, rng()).pieces.squeeze(-1).long().tolist()
    counts = [found.count(list(order)) for order in itertools.permutations(range(3))]
    assert sum(counts) == 6000
    assert stats.chisquare(counts).pvalue > 1e-4


def test_places_are_right_by_their_pixels():
    solution = torch.tensor([[[0.0, 0.0], [1.0, 0.5], [0.0, 0.0], [1.0, 0.25]]])
    puzzle = Puzzle(solution, solution)
    right = puzzle.in_place(torch.tensor([[2, 1, 0, 3]]))  # the blank ones are exchanged
    assert right.tolist() == [[True] * 4]
    right = puzzle.in_place(torch.tensor([[0, 3, 2, 1]]))  # half of their pixels agree
    assert right.tolist() == [[True, False, True, False]]
