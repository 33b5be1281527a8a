"""The task `jigsaw` on the command line: its recipe learns, and errors take one line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from marked_pieces import setup

import relaxit
from relaxit import ConfigurationError, zoo
from relaxit.cli.app import run
from relaxit.data.dataset import Dataset
from relaxit.data.examples import Examples
from relaxit.data.splits import ColumnFormat, Format, Splits
from relaxit.training.assembly import build_task
from relaxit.training.config import resolve
from relaxit.training.runs.directory import RunDirectory
from relaxit_permutation.tasks.jigsaw.task import Jigsaw

FLAGS = ["--recipe", "jigsaw", "--dataset", "digits", "--device", "cpu", "--quiet"]


class Wide(Dataset):
    """Images of 6x7 pixels."""

    api, name, summary = 2, "test-wide", "images that no grid divides"

    def load(self, directory, download=False):
        return Splits(Examples.of(inputs=torch.zeros(9, 6, 7)))


class Flat(Dataset):
    """Rows of 64 numbers."""

    api, name, summary = 2, "test-flat", "rows, which have no height"

    def load(self, directory, download=False):
        return Splits(Examples.of(inputs=torch.zeros(9, 64)))


@pytest.fixture(autouse=True)
def registered():
    for cls in (Wide, Flat):
        relaxit.register(cls)
    yield
    for cls in (Wide, Flat):
        relaxit.unregister(cls)


def train(*flags):
    assert run(["train", *FLAGS, *flags]) == 0


def metrics(directory):
    return RunDirectory(Path(directory)).read_metrics()


def test_the_recipe_learns_and_is_evaluated_with_the_same_result(capsys):
    train("--epochs", "6", "--validation", "200", "--out", "run")
    rows = metrics("run")
    assert rows[-1]["test_in_place"] > max(0.8, rows[0]["test_in_place"])
    assert rows[-1]["test_solved"] > 0.6  # blindly one in 24, and more with blank pieces
    assert rows[-1]["validation_in_place"] > 0.8
    assert rows[-1]["train_loss"] < 0.5 * rows[0]["train_loss"]
    assert {p.name for p in Path("run").glob("*.png")} == {"jigsaw.png", "curves.png"}
    capsys.readouterr()
    assert run(["evaluate", "run", "--device", "cpu", "--json", "--seed", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["test_in_place"] == pytest.approx(rows[-1]["test_in_place"], abs=0.01)
    assert found["test_solved"] == pytest.approx(rows[-1]["test_solved"], abs=0.02)


def test_resumed_equals_uninterrupted_to_the_bit():
    constant = ("--lr-schedule", "constant", "--batch-size", "300")
    train("--epochs", "3", *constant, "--out", "whole")
    train("--epochs", "1", *constant, "--out", "part")
    assert run(["train", "--resume", "part", "--epochs", "3", "--quiet"]) == 0
    for ours, theirs in zip(metrics("whole")[1:], metrics("part")[1:], strict=True):
        for key in ours.keys() - {"seconds", "examples_per_second", "learning_rate"}:
            assert ours[key] == theirs[key], key


REJECTED = {
    "no square": (["-o", "n=6"], "square grid of pieces, and 6 is not a square number; set -o n=4"),
    "no divisor": (
        ["-o", "n=9"],
        "8x8 pixels cannot be cut into 3x3 equal pieces; set -o n=4 or n=16 or n=64",
    ),
    "no grid": (["--dataset", "test-wide"], "6x7 .* 2x2 equal pieces; choose another --dataset"),
    "rows": (
        ["--dataset", "test-flat"],
        r"needs inputs that are floats of shape \[any, any\] per example, .* of shape \[64\]",
    ),
    "latents": (["--latents", "3"], "one order per example, got 3 latents; set --latents 1"),
    "shape": (["--relaxation", "binary"], r"needs values \[n, n\].*try --relaxation permutation"),
    "estimator": (["--estimator", "straight-through"], "needs the discrete distribution"),
    "context": (["-t", "context=-1"], "context must be at least 0"),
    "KL": (["--kl-warmup", "0.5"], "jigsaw has no option kl_warmup; it has: samples, "),
}


@pytest.mark.parametrize(("flags", "message"), REJECTED.values(), ids=REJECTED)
def test_what_does_not_fit_is_rejected_in_a_line(flags, message, capsys):
    assert run(["train", *FLAGS, "--out", "run", *flags]) == 2
    err = capsys.readouterr().err
    (line,) = [line for line in err.splitlines() if line.startswith("error:")]
    assert re.search(message, line)
    assert not Path("run").exists()


@pytest.mark.parametrize("hidden", [(), (16, 30)])
def test_attention_needs_a_width_that_its_heads_divide(hidden):
    with pytest.raises(ConfigurationError, match=r"multiple of 4, got .*context=0"):
        Jigsaw(hidden=hidden).check(setup())
    Jigsaw(context=0, hidden=hidden).check(setup())


@pytest.mark.parametrize("n", [4, 16])
@pytest.mark.parametrize(("dataset", "size"), [("mnist", (28, 28)), ("digits", (8, 8))])
def test_the_recipe_fits_its_data_sets(dataset, size, n):
    given = {"data": {"name": "digits"}} if dataset == "digits" else {}
    found = resolve([*zoo.recipe_layers("jigsaw"), given, {"relaxation": {"options": {"n": n}}}])
    assert found.data.name == dataset
    task, s = build_task(found)
    images = Format({"inputs": ColumnFormat("float32", size)})
    assert task.build(s, images).grid.side ** 2 == n
