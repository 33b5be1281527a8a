"""The task `feature-selection` on the command line: a run of its recipe, figures, errors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from matplotlib.image import imread
from planted_pixels import small

import relaxit
from relaxit import zoo
from relaxit.cli.app import run
from relaxit.data.dataset import Dataset
from relaxit.data.examples import Examples
from relaxit.data.splits import Splits
from relaxit.training.assembly import build_task
from relaxit.training.config import resolve
from relaxit.training.runs.directory import RunDirectory
from relaxit_subset.tasks.feature_selection.figures import COLOUR, overlay

FLAGS = ["--recipe", "feature-selection", "--dataset", "digits", "--device", "cpu"]


class Unlabelled(Dataset):
    api, name, summary = 2, "test-no-labels", "images without labels"

    def load(self, directory, download=False):
        images = Examples.of(inputs=torch.zeros(40, 8, 8))
        return Splits(images, images.take(torch.arange(8)))


class Ranked(Dataset):
    api, name, summary = 2, "test-ranks", "images with real numbers as targets"

    def load(self, directory, download=False):
        return Splits(Examples.of(inputs=torch.zeros(40, 8, 8), targets=torch.rand(40)))


@pytest.fixture(autouse=True)
def without_classes():
    for cls in (Unlabelled, Ranked):
        relaxit.register(cls)
    yield
    for cls in (Unlabelled, Ranked):
        relaxit.unregister(cls)


# --- a run ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One run of the recipe on the digits: its directory, and what it printed."""
    directory = tmp_path_factory.mktemp("whole")
    start = "from relaxit.cli.app import main; main()"
    command = [sys.executable, "-c", start, "train", *FLAGS, "--epochs", "12", "-o", "k=12"]
    done = subprocess.run(
        [*command, "--validation", "100", "--out", str(directory / "run"), "--json"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return directory / "run", done


def test_the_recipe_trains_and_improves(whole):
    directory, done = whole
    rows = RunDirectory(directory).read_metrics()
    for part in ("train", "validation", "test"):
        assert rows[-1][f"{part}_accuracy"] > max(0.8, rows[0][f"{part}_accuracy"])
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert rows[-1]["test_cross_entropy"] < rows[0]["test_cross_entropy"]
    # The distribution becomes deterministic.
    assert rows[0]["test_shared"] < rows[-1]["test_shared"] <= 12 + 1e-4
    assert rows[-1]["validation_shared"] == rows[-1]["test_shared"]
    assert not [key for key in rows[-1] if "kl" in key or "elbo" in key]
    assert json.loads(done.stdout)["test_accuracy"] == rows[-1]["test_accuracy"]
    assert "classifier that sees the pixels weighted by one soft sample" in done.stderr
    assert re.search(r"epoch 12/12: loss 0\.\d+, accuracy train \d\d\.\d\d% test \d\d", done.stderr)


def test_the_run_is_evaluated_with_the_same_result(whole, capsys):
    directory, _ = whole
    assert run(["evaluate", str(directory), "--device", "cpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    last = RunDirectory(directory).read_metrics()[-1]
    for metric in ("accuracy", "cross_entropy", "shared"):
        assert found[f"test_{metric}"] == pytest.approx(last[f"test_{metric}"], rel=1e-5)


def test_selected_png_shows_k_pixels(whole):
    directory, _ = whole
    assert {p.name for p in directory.glob("*.png")} == {
        "selected.png",
        "inclusion.png",
        "curves.png",
    }
    image = torch.from_numpy(imread(directory / "selected.png")[..., :3])
    step = image.shape[0] // 8
    cells = image[step // 2 :: step, step // 2 :: step]
    red = (cells - torch.tensor(COLOUR)).abs().amax(-1) < 0.01
    assert red.shape == (8, 8)
    assert int(red.sum()) == 12
    inclusion = torch.from_numpy(imread(directory / "inclusion.png")[..., 0])
    step = inclusion.shape[0] // 9  # eight pixels and a line
    cells = inclusion[step // 2 :: step, step // 2 :: step][:8, :8]
    assert float((1 - cells).sum()) == pytest.approx(12, abs=0.3)
    assert float((1 - cells)[red].min()) > float((1 - cells)[~red].max())  # the mode is the best


def test_overlay_by_hand():
    sheet = overlay(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 0.5]), (1, 3))
    torch.testing.assert_close(sheet[0, 0], torch.tensor(COLOUR))
    torch.testing.assert_close(sheet[0, 1:], torch.tensor([[1.0], [0.4]]).expand(2, 3))


# --- errors -----------------------------------------------------------------------------------

REJECTED = {
    "wrong n": (
        ["-o", "n=784"],
        r"chooses among 784 items, but an image has 64 pixels; set -o n=64",
    ),
    "latents": (["--latents", "2"], "learns one subset, got 2 latents; set --latents 1"),
    "k > n": (["-o", "k=65"], "k = 65 exceeds n = 64"),
    "no labels": (
        ["--dataset", "test-no-labels", "-o", "n=64"],
        "needs a column 'targets' .one integer per example, at least 0., which data set "
        "'test-no-labels' does not have",
    ),
    "no classes": (
        ["--dataset", "test-ranks", "-o", "n=64"],
        "needs targets that are one integer per example, .* are float32",
    ),
    "scalar": (["--relaxation", "binary"], "vectors with one entry per pixel.*try --relaxation s"),
    "KL": (["--kl", "relaxed"], "feature-selection has no option kl; it has: score_rate, hidden"),
    "estimator": (
        ["--relaxation", "test-positive", "--estimator", "simple"],
        "the discrete distribution",
    ),
    "rate": (["-t", "score_rate=0"], "score_rate.*greater than 0"),
}


@pytest.mark.parametrize(("flags", "message"), REJECTED.values(), ids=REJECTED)
def test_what_does_not_fit_is_rejected_in_a_line(flags, message, capsys):
    assert run(["train", *FLAGS, "--out", "run", *flags]) == 2
    err = capsys.readouterr().err
    (line,) = [line for line in err.splitlines() if line.startswith("error:")]
    assert err.endswith(line + "\n")
    assert re.search(message, line)
    assert not Path("run").exists()


# --- the recipe -------------------------------------------------------------------------------


@pytest.mark.parametrize(("dataset", "pixels"), [("mnist", 784), ("digits", 64)])
def test_the_recipe_fits_its_data_sets(dataset, pixels):
    given = {"data": {"name": "digits"}} if dataset == "digits" else {}
    found = resolve([*zoo.recipe_layers("feature-selection"), given])
    assert (found.data.name, found.recipe, found.latents) == (dataset, "feature-selection", 1)
    task, setup = build_task(found)
    assert task.name == "feature-selection"
    assert setup.relaxation.name == "subset"
    assert setup.relaxation.options.n == pixels
    again = resolve([*zoo.recipe_layers("feature-selection"), given, small(k=3)])
    assert again.relaxation.options["k"] == 3


def test_the_recipe_is_in_the_zoo(capsys):
    assert run(["zoo", "list"]) == 0
    assert "feature-selection" in capsys.readouterr().out
    assert zoo.recipe_summary(zoo.find_recipe("feature-selection")).startswith("the k MNIST pixels")
