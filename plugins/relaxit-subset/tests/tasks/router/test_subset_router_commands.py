"""The task `router` on the command line: its recipe, its errors, and its examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import relaxit
from relaxit import Capabilities, PerturbAndRelax
from relaxit.cli.app import run
from relaxit.training.runs import RunDirectory
from tests.scripts import examples_of
from tests.scripts import run as run_script

EXAMPLES = examples_of(__file__)

FLAGS = ["--recipe", "router", "--device", "cpu", "--engine", "eager", "--quiet"]


class Unlisted(PerturbAndRelax):
    """Two of eight items; no discrete distribution is claimed."""

    api, name, summary = 1, "test-unlisted", "two of eight"
    capabilities = Capabilities(density=False, discrete_distribution=False, exact_rounding=False)
    event_shape = param_shape = relaxit.get("subset", n=8, k=2).event_shape
    support, vertices = (
        getattr(relaxit.get("subset", n=8, k=2), s) for s in ("support", "vertices")
    )

    def relax(self, scores, temperature):
        return relaxit.get("subset", n=8, k=2).relax(scores, temperature)

    def argmax(self, scores):
        return relaxit.get("subset", n=8, k=2).argmax(scores)


@pytest.fixture(autouse=True)
def registered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    relaxit.register(Unlisted)
    yield
    relaxit.unregister(Unlisted)


def metrics(directory):
    return RunDirectory(Path(directory)).read_metrics()


def test_resumed_equals_uninterrupted_to_the_bit():
    constant = ("--lr-schedule", "constant", "--schedule", "constant")
    assert run(["train", *FLAGS, *constant, "--epochs", "2", "--out", "whole"]) == 0
    assert run(["train", *FLAGS, *constant, "--epochs", "1", "--out", "part"]) == 0
    assert run(["train", "--resume", "part", "--epochs", "2", "--quiet"]) == 0
    weights = [Path(name, "model.safetensors").read_bytes() for name in ("whole", "part")]
    assert weights[0] == weights[1]
    first, last = metrics("whole")
    assert last["test_loss"] < first["test_loss"] < 0.7
    assert 1 / 8 <= last["test_load"] < 1 / 2
    assert 0.3 < last["test_agreement"] <= 1


def test_images_with_classes_are_routed_too():
    flags = ["--dataset", "digits", "-o", "n=4", "--epochs", "3", "--batch-size", "50"]
    assert run(["train", *FLAGS, *flags, "--out", "run"]) == 0
    assert metrics("run")[-1]["test_accuracy"] > 0.8
    assert "test_agreement" not in metrics("run")[-1]


def test_without_balance_no_discrete_distribution_is_needed():
    flags = ["--relaxation", "test-unlisted", "-t", "balance=0", "--epochs", "1"]
    assert run(["train", *FLAGS, *flags, "--out", "run"]) == 0
    assert metrics("run")[-1]["test_loss"] < 0.8


REJECTED = {
    "latents": (["--latents", "2"], "makes one choice per example, got 2 latents"),
    "shape": (["--relaxation", "binary"], "one entry per expert.*try --relaxation subset"),
    "marginals": (["--relaxation", "test-unlisted"], "no discrete distribution; set -t balance=0"),
    "weights": (["-t", "weights=sum"], "weights must be 'softmax' or 'equal'"),
    "balance": (["-t", "balance=-1"], "balance must be at least 0"),
    "k": (["-o", "k=9"], "k = 9 exceeds n = 8"),
    "noise": (["-d", "noise=-1"], "noise must be at least 0"),
}


@pytest.mark.parametrize(("flags", "message"), REJECTED.values(), ids=REJECTED)
def test_what_does_not_fit_is_rejected_in_a_line(flags, message, capsys):
    assert run(["train", *FLAGS, "--out", "run", *flags]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert re.search(message, line)
    assert not Path("run").exists()


def test_the_examples_are_the_same_method(tmp_path):
    """The first method of the comparison is the plain loop: with the same seed, the same loss."""
    few = ["--seeds", "1", "--epochs", "1"]
    loop = run_script(EXAMPLES / "router_loop.py", *few, cwd=tmp_path)
    flags = ["--blocks", "1", "--methods", "subset, pathwise", "dense softmax"]
    table = run_script(EXAMPLES / "router.py", *few, *flags, cwd=tmp_path)
    (alone,) = re.findall(r"test loss ([\d.]+)", loop)
    assert re.search(r"^subset, pathwise +([\d.]+)", table, re.M)[1] == alone
    assert re.search(r"^dense softmax .* - +[\d.]+$", table, re.M)
