"""The task `interactions` on the command line: its recipes, its errors in a line, resuming."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

import relaxit
from relaxit import Capabilities, PerturbAndRelax
from relaxit.cli.app import run
from relaxit.training.runs import RunDirectory

SMALL = ["-d", "train=60", "-d", "test=30", "-d", "frames=6"]
FLAGS = ["--device", "cpu", "--engine", "eager", "--quiet", *SMALL]
RECIPES = ["interactions-tree", "interactions-k-edges", "interactions-edges"]


class NoDivergence(PerturbAndRelax):
    """Graphs of five nodes whose divergence is not known."""

    api, name, summary = 1, "test-no-divergence", "graphs of five nodes"
    capabilities = Capabilities(density=False, discrete_distribution=False, exact_rounding=False)
    event_shape = param_shape = torch.Size([5, 5])
    support, vertices = (getattr(relaxit.get("edges", nodes=5), s) for s in ("support", "vertices"))

    def relax(self, scores, temperature):
        return relaxit.get("edges", nodes=5).relax(scores, temperature)

    def argmax(self, scores):
        return relaxit.get("edges", nodes=5).argmax(scores)


@pytest.fixture(autouse=True)
def registered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    relaxit.register(NoDivergence)
    yield
    relaxit.unregister(NoDivergence)


def train(recipe, *flags):
    return run(["train", "--recipe", recipe, *FLAGS, *flags])


def metrics(directory):
    return RunDirectory(Path(directory)).read_metrics()


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_runs_and_is_evaluated_with_the_same_result(recipe, capsys):
    if recipe == "interactions-k-edges":
        pytest.importorskip("relaxit_subset")
    assert train(recipe, "--epochs", "1", "--out", "run") == 0
    (row,) = metrics("run")
    assert 0 <= row["test_precision"] <= 1
    assert {path.name for path in Path("run").glob("*.png")} == {"graphs.png", "curves.png"}
    capsys.readouterr()
    assert run(["evaluate", "run", "--device", "cpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for name in ("loss", "squared_error", "kl", "precision", "recall", "f1"):
        assert found[f"test_{name}"] == pytest.approx(row[f"test_{name}"], rel=1e-5), name


def test_resumed_equals_uninterrupted_to_the_bit():
    constant = ("--lr-schedule", "constant")
    assert train("interactions-tree", *constant, "--epochs", "2", "--out", "whole") == 0
    assert train("interactions-tree", *constant, "--epochs", "1", "--out", "part") == 0
    assert run(["train", "--resume", "part", "--epochs", "2", "--quiet"]) == 0
    weights = [Path(name, "model.safetensors").read_bytes() for name in ("whole", "part")]
    assert weights[0] == weights[1]


def test_without_a_divergence_its_weight_is_zero():
    flags = ["--relaxation", "test-no-divergence", "-t", "kl=0", "--epochs", "1"]
    assert train("interactions-edges", *flags, "--out", "run") == 0
    assert "test_kl" not in metrics("run")[-1]


REJECTED = {
    "latents": (["--latents", "2"], "one graph per example, got 2 latents; set --latents 1"),
    "shape": (
        ["--relaxation", "binary"],
        r"values and params \[N, N\] or \[N \(N - 1\) / 2\] .*try --relaxation spanning-tree",
    ),
    "nodes": (["-o", "nodes=6"], "5 nodes, but graphs of 6: .*; set -o nodes=5"),
    "nodes of data": (["-d", "nodes=4"], "4 nodes, but graphs of 5: .*; set -o nodes=4"),
    "divergence": (["--relaxation", "test-no-divergence"], "does not have; set -t kl=0"),
    "horizon": (["-t", "horizon=6"], "6 frames are too short .*; set -t horizon=5"),
    "data": (["--dataset", "digits"], r"inputs that are floats of shape \[any, any, any\]"),
    "graph": (["-d", "graph=ring"], "graph must be 'tree', 'k-edges' or 'independent'"),
    "noise": (["-d", "noise=-1"], "noise must be at least 0"),
}


@pytest.mark.parametrize(("flags", "message"), REJECTED.values(), ids=REJECTED)
def test_what_does_not_fit_is_rejected_in_a_line(flags, message, capsys):
    small = [] if "--dataset" in flags else FLAGS
    assert run(["train", "--recipe", "interactions-tree", *small, "--out", "run", *flags]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert re.search(message, line)
    assert not Path("run").exists()
