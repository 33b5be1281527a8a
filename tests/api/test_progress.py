"""Only images are called images, and the first lines of a run say what it does."""

from __future__ import annotations

import json

import pytest

from relaxit.api import ProgressCallback, describe
from relaxit.cli.app import run
from relaxit.training import Display, build, resolve
from relaxit.zoo import recipe_layers
from tests.api.quick import QUICK

NUMBERS = ["--recipe", "sorting-numbers", "-o", "n=5", "--epochs", "1", "--device", "cpu"]
ROWS = ["--recipe", "polynomial", "--epochs", "1", "--device", "cpu"]
CASES = [
    (
        ["--epochs", "1", "--batch-size", "300", "--device", "cpu"],
        "images",
        "1437 training images of 8x8",
    ),
    (ROWS, "rows", "12800 training rows of 128"),
    (NUMBERS, "numbers", "60000 training numbers"),
]


@pytest.mark.parametrize(("flags", "noun", "header"), CASES)
@pytest.mark.parametrize("ensemble", [[], ["--ensemble", "seeds=2"]])
def test_a_run_calls_its_examples_by_name(flags, noun, header, ensemble, capsys, tmp_path):
    assert run(["train", *flags, *ensemble, "--out", "out"]) == 0
    err = capsys.readouterr().err
    assert f"({header}), " in err
    epochs = [line for line in err.splitlines() if line.startswith("epoch ")]
    assert all(line.endswith(f" {noun}/s") for line in epochs)
    assert epochs
    assert ("image" in err) == (noun == "images")
    (metrics,) = list((tmp_path / "out").rglob("metrics.jsonl"))[:1]
    row = json.loads(metrics.read_text().splitlines()[-1])
    assert "examples_per_second" in row


def test_so_does_an_evaluation(capsys):
    assert run(["train", *ROWS, "--out", "out", "--quiet"]) == 0
    assert run(["evaluate", "out"]) == 0
    out = capsys.readouterr().out
    assert "test_rows" in out
    assert "image" not in out
    assert run(["evaluate", "out", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test_examples"] == 1


def test_a_bar_says_so_too(monkeypatch):
    from rich.console import Console

    screen = Console(force_terminal=True, width=100, record=True)
    monkeypatch.setattr("relaxit.api.progress.screen", lambda: screen)
    with ProgressCallback(1, 10, 0, Display(), quiet=False, noun="rows") as callback:
        callback.step(5, {})
    assert "rows/s" in screen.export_text()


SETTINGS = [
    ({}, "batch 50, adam, learning rate 0.003 (cosine, 5% warm-up), weight decay 0.5, "
         "temperature 1.5 to 0.3 (exponential)"),
    ({"optimizer": {"method": "radam", "schedule": "constant", "warmup": 0.0}, "batch_size": 9},
     "batch 9, radam, learning rate 0.003 (constant, no warm-up), weight decay 0.5, "
     "temperature 1.5 to 0.3 (exponential)"),
    ({"temperature": {"schedule": "learned", "initial": 0.7}}, "temperature 0.7 (learned)"),
    ({"temperature": {"schedule": "constant", "initial": 0.7}}, "temperature 0.7"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "line"), SETTINGS)
def test_the_first_lines_name_batch_optimizer_and_schedules(change, line):
    config = resolve([*recipe_layers("categorical-vae"), {**change, "device": "cpu"}])
    lines = describe(build(config), "seed 0", None)
    assert any(text.endswith(line) for text in lines)
    assert lines[0] == "device cpu (as requested), seed 0"
    assert lines[-1].startswith("minimises the ")


def test_progress_in_python_is_shown_only_if_wanted(capsys):
    import relaxit

    relaxit.train(out="quiet", **QUICK)
    assert capsys.readouterr().err == ""
    relaxit.train(out="shown", **{**QUICK, "progress": True})
    err = capsys.readouterr().err
    assert err.splitlines()[0].startswith("device cpu")
    assert err.splitlines()[-1].startswith("epoch 2/2")
