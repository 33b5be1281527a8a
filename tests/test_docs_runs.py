"""Metrics, files and exit codes of a run are documented."""

from __future__ import annotations

import json
import re

import pytest

from relaxit import errors
from relaxit.cli.app import run as run_command
from tests.pages import page_of


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run"
    arguments = "train --epochs 1 --validation 100 --latents 2 --device cpu --quiet --out"
    assert run_command([*arguments.split(), str(path)]) == 0
    return path


def test_every_metric_is_documented_and_has_its_sign(run_directory):
    page = page_of("training").read_text()
    (row,) = map(json.loads, (run_directory / "metrics.jsonl").read_text().splitlines())
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    documented = {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    assert set(row) <= documented
    for name, value in row.items():
        assert value < 0 if "_elbo_" in name else value > 0, name


def test_every_file_of_a_run_is_documented(run_directory):
    page = page_of("training").read_text()
    for path in run_directory.iterdir():
        assert f"`{path.name}{'/' if path.is_dir() else ''}`" in page


def test_every_exit_code_is_documented():
    page = page_of("configuration").read_text()
    classes = [c for c in vars(errors).values() if isinstance(c, type) and hasattr(c, "exit_code")]
    for code in {0, 130, 143} | {c.exit_code for c in classes}:
        assert re.search(rf"^\| {code} \|", page, re.M), code
