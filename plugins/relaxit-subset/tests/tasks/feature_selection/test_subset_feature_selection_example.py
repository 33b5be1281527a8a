"""The example `feature_selection.py`: its table, its selections and its networks."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from matplotlib.image import imread
from planted_pixels import PLANTED, Planted, config

from relaxit.data.splits import Splits
from relaxit.training.building import build
from relaxit_subset.tasks.feature_selection.figures import COLOUR
from tests.scripts import examples_of, load, run

EXAMPLES = examples_of(__file__)


def test_the_example_prints_a_table_and_draws(tmp_path):
    flags = ["--dataset", "digits", "--ks", "4", "12", "--seeds", "1", "--epochs", "6"]
    flags += ["--fit-epochs", "6", "--plot", "pixels.png"]
    printed = run(EXAMPLES / "feature_selection.py", *flags, cwd=tmp_path)
    head, *lines = printed.splitlines()
    assert re.search(r"k = 4 +k = 12$", head)
    assert [line.split()[0] for line in lines] == [
        "learned",
        "SelectKBest,",
        "SelectKBest,",
        "random",
    ]
    for line in lines:
        few, many = map(float, re.findall(r"(\d+\.\d+) ±", line))
        assert 10 < few < many <= 100
    image = imread(tmp_path / "pixels.png")[..., :3]
    assert min(image.shape[:2]) > 300
    red = abs(image - torch.tensor(COLOUR).numpy()).max(-1) < 0.02
    assert red.mean() > 0.01


def test_selections_of_the_example_have_k_pixels_and_see_no_test_images():
    example = load(EXAMPLES / "feature_selection.py")
    data = build(config()).data
    first, second = (example.ranked(part, 0) for part in (data, Splits(data.train)))
    for name, ranking in first.items():
        support = ranking.set_params(k=6).get_support()
        assert support.sum() == 6
        assert (support == second[name].set_params(k=6).get_support()).all()
    assert example.drawn(64, 6, 0).sum() == 6
    assert not torch.equal(example.drawn(64, 6, 0), example.drawn(64, 6, 1))


def test_the_networks_of_the_example_see_the_chosen_pixels_only():
    example = load(EXAMPLES / "feature_selection.py")
    data = Planted().load(Path())
    chosen = torch.zeros(64).index_fill(0, torch.tensor(PLANTED), 1.0)
    assert example.accuracy(data, chosen, 0, "digits", 8) == 1
    assert example.accuracy(data, 1 - chosen, 0, "digits", 8) < 0.3  # eight classes
