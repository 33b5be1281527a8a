"""The example scripts of the tasks, run as a reader would run them."""

from __future__ import annotations

import re

import pytest
import torch
from matplotlib.image import imread

from relaxit_permutation.gumbel_sinkhorn.permutation import Permutation
from relaxit_permutation.tasks.jigsaw.puzzle import shuffled
from tests.scripts import examples_of, load, run

EXAMPLES = examples_of(__file__)


def test_sorting_prints_a_table(tmp_path):
    flags = ("--n", "3", "5", "--steps", "25", "--lists", "200")
    head, *lines = run(EXAMPLES / "sorting_numbers.py", *flags, cwd=tmp_path).splitlines()
    assert re.fullmatch(r" +n +wrong numbers +wrong lists +seconds", head)
    assert [int(line.split()[0]) for line in lines] == [3, 5]
    for line in lines:
        assert len(line) == len(head)
        numbers, lists = map(float, re.findall(r"([\d.]+)%", line))
        assert numbers <= lists <= 20


@pytest.mark.parametrize(("sign", "wrong"), [(1.0, 0.0), (-1.0, 1.0)])
def test_sorting_counts_lists_from_the_greatest_down(sign, wrong):
    example = load(EXAMPLES / "sorting_numbers.py")
    slopes = torch.nn.Linear(1, 4)
    with torch.no_grad():  # the greatest number gains most where the slope is greatest
        slopes.weight.copy_(sign * torch.tensor([[3.0], [2.0], [1.0], [0.0]]))
        slopes.bias.zero_()
    assert example.mistakes(Permutation(n=4), slopes, 100) == (wrong, wrong)


def test_the_jigsaw_is_drawn_and_its_shares_are_printed(tmp_path):
    flags = ("--steps", "80", "--plot", "jigsaw.png")
    found = run(EXAMPLES / "jigsaw.py", *flags, cwd=tmp_path)
    places, images = map(float, re.findall(r"([\d.]+)%", found))
    assert 40 < images <= places <= 100
    assert min(imread(tmp_path / "jigsaw.png").shape[:2]) > 300


def test_the_jigsaw_learns_from_its_pieces():
    example = load(EXAMPLES / "jigsaw.py")
    torch.manual_seed(0)
    pieces = torch.eye(4).expand(300, 4, 4)  # piece i says that it is piece i
    permutation = Permutation(n=4)
    network = example.learn(permutation, pieces, 40)
    puzzle = shuffled(pieces)
    assert puzzle.in_place(example.solve(permutation, network, puzzle)).float().mean() > 0.95


def test_the_loop_is_short():
    assert len((EXAMPLES / "jigsaw.py").read_text().splitlines()) < 100
