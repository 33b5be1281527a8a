"""A run that an earlier version has left on disk is continued, evaluated and sampled from.

``saved_run`` was written by the last version before the files of the package were moved (0.1.0,
torch 2.14.1): ``relaxit train --estimator rebar --latents 4 -o categories=4 --epochs 2 --seed 3``
with one hidden layer of 16. What that version made of it stands below.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from relaxit.cli.app import run

SAVED = Path(__file__).parent / "saved_run"
EVALUATED = {
    "test_elbo_discrete": -26.14209959242079,
    "test_reconstruction": 26.00802951388889,
    "test_kl": 0.13407007853190103,
}
CONTINUED = {
    "step": 87,
    "temperature": 0.30560144782066345,
    "learning_rate": 9.778569154845762e-07,
    "train_loss": 25.89628729558107,
    "test_elbo_discrete": -26.227087349361845,
    "test_kl": 0.1305215941535102,
}
# What elementary functions differ by from one version of PyTorch to the next, over 29 steps.
CLOSE = 1e-3


@pytest.fixture
def saved(tmp_path):
    return Path(shutil.copytree(SAVED, tmp_path / "run"))


def test_evaluates_to_what_it_did(saved, capsys):
    assert run(["evaluate", str(saved), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {key: found[key] for key in EVALUATED} == pytest.approx(EVALUATED, rel=CLOSE)


def test_samples(saved):
    assert run(["sample", str(saved), "--out", str(saved / "drawn.png")]) == 0
    assert (saved / "drawn.png").read_bytes().startswith(b"\x89PNG")


def test_continues_as_it_did(saved):
    assert run(["train", "--resume", str(saved), "--epochs", "3", "--quiet"]) == 0
    rows = [json.loads(line) for line in (saved / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert {key: rows[-1][key] for key in CONTINUED} == pytest.approx(CONTINUED, rel=CLOSE)


def test_its_configuration_is_a_recipe(saved):
    assert run(["train", "--recipe", str(saved / "config.json"), "--dry-run", "--quiet"]) == 0
