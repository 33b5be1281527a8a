"""Figures at the end of a run: with any backend, and without costing the run."""

import os
import subprocess
import sys

import pytest

from relaxit.training.runs.directory import RunDirectory
from tests.cli.short_runs import SMALL

PLUGIN = """
import relaxit
from relaxit.tasks.vae.task import VaeTask


@relaxit.register
class NoFonts(VaeTask):
    \"\"\"An autoencoder whose figures cannot be drawn.\"\"\"

    api, name = 2, "no-fonts"

    def draw(self, *arguments):
        raise ImportError("no fonts")
"""


def train(path, *flags, **environment):
    """Train in a process of its own, where matplotlib has not been imported."""
    code = "import sys; from relaxit.cli.app import run; sys.exit(run(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, "train", *SMALL, "--out", str(path), *flags],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("backend", ["nonsense", "qtagg"])
def test_a_backend_that_cannot_be_imported(tmp_path, backend):
    done = train(tmp_path / "run", MPLBACKEND=backend)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert {"curves.png", "samples.png"} <= {path.name for path in (tmp_path / "run").iterdir()}


def test_an_ensemble(tmp_path):
    done = train(tmp_path / "run", "--ensemble", "seeds=2", MPLBACKEND="nonsense")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "curves.png").is_file()


def test_figures_that_fail_leave_the_results(tmp_path):
    (tmp_path / "plugin.py").write_text(PLUGIN)
    flags = ["--plugin", str(tmp_path / "plugin.py"), "--task", "no-fonts"]
    done = train(tmp_path / "run", *flags)
    assert done.returncode == 0, done.stderr
    assert "no figures: ImportError: no fonts" in done.stderr
    assert len(RunDirectory(tmp_path / "run").read_metrics()) == 2
    assert (tmp_path / "run" / "model.safetensors").is_file()
