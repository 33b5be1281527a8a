"""The task `sorting-numbers` on the command line: its recipe learns to sort; errors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from numbers_oracles import config

import relaxit
from relaxit import Capabilities, Relaxation
from relaxit.cli.app import run
from relaxit.training.assembly import build_task
from relaxit.training.runs.directory import RunDirectory

FLAGS = ["--recipe", "sorting-numbers", "--device", "cpu", "-o", "n=5", "--quiet"]


class Mute(Relaxation):
    """Neither a discrete distribution nor an argmax."""

    api, name, summary = 1, "test-mute", "cannot say which order is best"
    capabilities = Capabilities(density=False, discrete_distribution=False, exact_rounding=False)
    event_shape = param_shape = torch.Size([3, 3])
    support = vertices = torch.distributions.constraints.unit_interval

    def rsample(self, params, temperature, shape, generator=None):
        return params.softmax(-1).expand(shape + params.shape)

    def hard(self, soft):
        return soft


@pytest.fixture(autouse=True)
def mute():
    relaxit.register(Mute)
    yield
    relaxit.unregister(Mute)


def train(*flags):
    assert run(["train", *FLAGS, "--batch-size", "3000", *flags]) == 0


def metrics(directory):
    return RunDirectory(Path(directory)).read_metrics()


def test_the_recipe_learns_to_sort_and_is_evaluated_with_the_same_result(capsys):
    few = ("-t", "samples=1", "--validation", "2000")
    train("--epochs", "2", *few, "--out", "run")
    first, *_, last = metrics("run")
    assert last["test_wrong"] == last["validation_wrong"] == 0
    assert last["train_loss"] < 0.2 * first["train_loss"]
    assert Path("run/curves.png").exists()
    capsys.readouterr()
    assert run(["evaluate", "run", "--device", "cpu", "--json", "--seed", "7"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["test_squared_error"] == pytest.approx(last["test_squared_error"], rel=1e-5)
    assert found["test_wrong"] == found["test_lists_wrong"] == 0


def test_resumed_equals_uninterrupted_to_the_bit():
    constant = ("--lr-schedule", "constant", "--dataset", "test-few", "--batch-size", "20")
    train("--epochs", "3", *constant, "--out", "whole")
    train("--epochs", "1", *constant, "--out", "part")
    assert run(["train", "--resume", "part", "--epochs", "3", "--quiet"]) == 0
    weights = [Path(name, "model.safetensors").read_bytes() for name in ("whole", "part")]
    assert weights[0] == weights[1]
    for ours, theirs in zip(metrics("whole"), metrics("part"), strict=True):
        for key in ours.keys() - {"seconds", "examples_per_second"}:
            assert ours[key] == theirs[key], key


REJECTED = {
    "images": (
        ["--dataset", "digits"],
        r"needs inputs that are one float per example, .* float32 of shape \[8, 8\] per example",
    ),
    "batch": (["--batch-size", "4"], "4 numbers is too small for a list of 5; set --batch-size 5"),
    "latents": (["--latents", "2"], "one order per example, got 2 latents; set --latents 1"),
    "structure": (["--relaxation", "categorical", "-o", "n=5"], "categorical"),
    "shape": (["--relaxation", "binary"], r"needs values \[n, n\].*try --relaxation permutation"),
    "mute": (
        ["--relaxation", "test-mute"],
        "neither a discrete distribution with a mode nor an argmax",
    ),
    "estimator": (["--estimator", "straight-through"], "needs the discrete distribution"),
    "binarise": (["--binarise", "threshold"], "numbers has no option binarise"),
    "samples": (["-t", "samples=0"], "samples must be at least 1"),
    "KL": (["--kl", "relaxed"], "sorting-numbers has no option kl; it has: samples, hidden"),
    "small part": (
        ["--dataset", "test-few", "-o", "n=30", "--batch-size", "60"],
        "the test set of 23 numbers is too small for a list of 30",
    ),
    "validation": (
        ["--validation", "3"],
        "validation set of 3 numbers is too small for a list of 5",
    ),
}


@pytest.mark.parametrize(("flags", "message"), REJECTED.values(), ids=REJECTED)
def test_what_does_not_fit_is_rejected_in_a_line(flags, message, capsys):
    named = "--relaxation" in flags and "-o" not in flags
    base = [f for f in FLAGS if not (named and f in ("-o", "n=5"))]
    assert run(["train", *base, "--out", "run", *flags]) == 2
    err = capsys.readouterr().err
    (line,) = [line for line in err.splitlines() if line.startswith("error:")]
    assert re.search(message, line)
    assert not Path("run").exists()


@pytest.mark.parametrize("n", [5, 50, 120])
def test_the_recipe_fits_every_n(n):
    found = config({"relaxation": {"options": {"n": n}}})
    task, s = build_task(found)
    assert (task.name, task.options.samples, s.relaxation.options.n) == ("sorting-numbers", 1, n)
    assert found.data.name == "numbers"
    assert s.batch_size >= 40 * n
