"""The example `interactions.py`: its baseline, what it counts, and the table that it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from relaxit_graph.tasks.interactions import Springs
from tests.scripts import examples_of, load, run

EXAMPLES = examples_of(__file__)


@pytest.fixture(scope="module")
def example():
    return load(EXAMPLES / "interactions.py")


@pytest.mark.parametrize("length", [0.0, 1.0])
def test_least_squares_with_the_true_force_finds_the_stiffness(example, length):
    data = Springs(train=50, test=1, length=length, interval=0.05, frames=40).load(Path()).train
    scores = example.least_squares(data.inputs, directions=length > 0) / 0.05
    true = data["adjacency"].double()
    torch.testing.assert_close(
        scores[true > 0].median(), torch.tensor(1.0).double(), rtol=0.1, atol=0
    )
    assert float(scores[true == 0].abs().median()) < 0.05
    assert float((scores > 0.5).eq(true > 0).double().mean()) > 0.95


def test_shares_by_hand(example):
    true = torch.zeros(1, 3, 3)
    true[0, 0, 1] = true[0, 1, 0] = 1
    found = torch.ones(1, 3, 3) - torch.eye(3)
    assert example.shares(found, true) == {"precision": 1 / 3, "recall": 1, "f1": 0.5}


def test_the_threshold_separates(example):
    true = (torch.rand(20, 5, 5) < 0.5).double()
    scores = 3 + 2 * true + torch.rand(20, 5, 5).double()
    inferred = (scores > example.threshold(scores, true)).double()
    assert example.shares(inferred, true)["f1"] > 0.98


def test_the_table(tmp_path):
    flags = ["--seeds", "1", "--epochs", "2", "--latents", "spanning-tree", "--simulations", "300"]
    head, *lines = run(EXAMPLES / "interactions.py", *flags, cwd=tmp_path).splitlines()
    assert head.split() == ["method", "graph", "seed", "precision", "recall", "F1", "s/epoch"]
    shares = [[float(share) for share in re.findall(r"([\d.]+)%", line)] for line in lines]
    assert [line.split("  ")[0] for line in lines] == [
        "least squares",
        "least squares, force known",
        "latent graph",
    ]
    for row in shares:  # trees have as many edges as the true graphs
        assert row[0] == row[1] == row[2] > 50  # 40 by chance
