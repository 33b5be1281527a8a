"""The task `crf-tagger` on the command line: its recipe, its errors, and the plain loop."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relaxit.cli.app import run
from relaxit.training.runs import RunDirectory
from tests.scripts import examples_of
from tests.scripts import run as run_script

EXAMPLES = examples_of(__file__)

FLAGS = ["--recipe", "crf-tagger", "--device", "cpu", "--engine", "eager", "--quiet"]
OTHER = ["--relaxation", "gumbel-crf", "-o", "length=12", "-o", "states=6", "--estimator"]


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize("flags", [[], [*OTHER, "st-gumbel"]], ids=["chain", "gumbel-crf"])
def test_the_recipe_learns_tags(flags):
    assert run(["train", *FLAGS, *flags, "--epochs", "2", "--out", "run"]) == 0
    first, last = RunDirectory(Path("run")).read_metrics()
    assert last["train_loss"] < first["train_loss"] < 3.69  # log 40
    assert last["test_loss"] < 3.45
    assert 0.33 < last["test_accuracy"] < 0.877  # 0.23: one tag for all, 0.877: the true model


REJECTED = {
    "latents": (["--latents", "2"], "one chain per sentence, got 2 latents; set --latents 1"),
    "structure": (["--relaxation", "binary"], "neighbouring tags.*try --relaxation chain"),
    "length": (["-o", "length=9"], "up to 12 tokens.*set -o length=12"),
    "data": (["--dataset", "digits"], "'crf-tagger' needs inputs that are integers"),
    "width": (["-t", "width=0"], "width must be at least 1"),
}


@pytest.mark.parametrize(("flags", "message"), REJECTED.values(), ids=REJECTED)
def test_what_does_not_fit_is_rejected_in_a_line(flags, message, capsys):
    assert run(["train", *FLAGS, "--out", "run", *flags]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert re.search(message, line)
    assert not Path("run").exists()


@pytest.mark.parametrize("flags", [[], ["--exact"]], ids=["sample", "exact"])
def test_the_plain_loop_learns_tags(flags, tmp_path):
    text = run_script(EXAMPLES / "tagger_loop.py", "--epochs", "2", *flags, cwd=tmp_path)
    nats, accuracy, mean, true = map(float, re.findall(r"(\d+\.\d+)", text))
    assert nats < 3.45
    assert 35 < mean == accuracy < true == 87.7
