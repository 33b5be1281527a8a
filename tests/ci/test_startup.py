"""``.ci/startup`` runs the programs that are asked for, and no file of theirs is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STARTUP = ROOT / ".ci" / "startup"

pytestmark = pytest.mark.skipif(not STARTUP.exists(), reason="not in a checkout")


def startup(*words):
    return subprocess.run(
        [sys.executable, str(STARTUP), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def rows_of(text):
    """Cells of the rows by program, which is all before the first gap of two spaces."""
    lines = (line.strip().split("  ") for line in text.splitlines() if line.startswith("  "))
    return {first: [cell.strip() for cell in rest if cell] for first, *rest in lines}


def test_what_is_asked_is_run_round_after_round(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["python", "import torch", "relaxit --help"]
    done = startup("--rounds", "2", *(word for name in names for word in ("--only", name)))
    assert (done.returncode, done.stderr) == (0, "")
    rows = rows_of(done.stdout)
    assert [name for name in rows if name in names] == names
    seconds = {name: float(rows[name][0]) for name in names}
    assert seconds["relaxit --help"] > 0
    assert rows["import torch"][-1] == "1.00"
    assert "  2 rounds; ratios to import torch" in done.stdout.splitlines()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_run_has_times_of_its_parts():
    done = startup("--rounds", "1", "--only", "relaxit train --epochs 1")
    assert done.returncode == 0, done.stdout
    rows = rows_of(done.stdout)
    total, *_, ratio = rows["relaxit train --epochs 1"]
    first, epoch = (float(rows[f"to {part}"][0]) for part in ("first line", "first epoch"))
    assert 0 < first <= epoch <= float(total)
    assert ratio == "-"  # without the reference
    assert "  1 rounds" in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rounds", "0"], "--rounds must be at least 1, got 0"),
        (["--only", "pyton"], "invalid choice: 'pyton'"),
    ],
)
def test_usage(words, said):
    done = startup(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
