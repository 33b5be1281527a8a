"""Whole training programs: the tutorial's script and ``relaxit train``, imports included."""

from __future__ import annotations

import sys
from pathlib import Path

from relaxit.bench.processes import RELAXIT, Program
from relaxit.tasks.vae.benchmarks.training_steps import RECIPE

__all__ = ["training_programs"]


def training_programs(epochs: int, data_dir: Path, device: str) -> list[Program]:
    """Return both programs, with evaluation after each epoch and a figure at the end.

    Args:
        epochs: epochs of each.
        data_dir: directory of the MNIST files.
        device: device of both.

    Example:
        >>> [program.name for program in training_programs(10, Path("data"), "cpu")]
        ['tutorial, 10 epochs', 'relaxit train, 10 epochs']
    """
    flags = ("--data-dir", str(data_dir.absolute()), "--epochs", str(epochs), "--device", device)
    module = "relaxit.tasks.vae.benchmarks.tutorial"
    script = (sys.executable, "-m", module, *flags, "--out", "samples.png")
    ours = (*RELAXIT, "train", "--recipe", RECIPE, *flags, "--out", "run", "--overwrite")
    return [
        Program(f"tutorial, {epochs} epochs", script, "the script", reference=True),
        Program(
            f"relaxit train, {epochs} epochs",
            ours,
            f"recipe {RECIPE}",
            marks={"first line": "device ", "first epoch": "epoch 1/"},
        ),
    ]
