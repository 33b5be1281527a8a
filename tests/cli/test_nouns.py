"""Only images are called images."""

from __future__ import annotations

import json

import pytest

from relaxit.cli.app import run
from tests.cli.short_runs import SMALL

NUMBERS = ["--recipe", "sorting-numbers", "-o", "n=5", "--epochs", "1", "--device", "cpu"]
ROWS = ["--recipe", "polynomial", "--epochs", "1", "--device", "cpu"]
CASES = [
    ([*SMALL], "images", "1437 training images of 8x8"),
    (ROWS, "rows", "12800 training rows"),
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

    from relaxit.cli import output
    from relaxit.training import Display

    screen = Console(force_terminal=True, width=100, record=True)
    monkeypatch.setattr(output, "console", lambda stderr=True: screen)
    with output.ProgressCallback(1, 10, 0, Display(), quiet=False, noun="rows") as callback:
        callback.step(5, {})
    assert "rows/s" in screen.export_text()
