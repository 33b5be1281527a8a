"""The first lines of a training run: device, seed, model, data and objective."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from relaxit.cli.nouns import training_examples
from relaxit.cli.output import tell

if TYPE_CHECKING:
    from relaxit.training import Experiment

__all__ = ["print_header"]


def print_header(experiment: Experiment, who: str, path: Path, quiet: bool) -> None:
    """Print the first lines of a run.

    Args:
        experiment: the run, or one of several that differ in seed or temperature only.
        who: what the lines are about, such as ``seed 0``.
        path: directory of the results.
        quiet: whether to print nothing.
    """
    config = experiment.config
    epochs = f"{config.epochs} epoch{'s' if config.epochs > 1 else ''}"
    why = "best available" if config.device == "auto" else "as requested"
    tell(f"device {experiment.device} ({why}), {who}, run {path}", quiet)
    tell(
        f"{config.latents} x {experiment.relaxation!r} by {config.estimator.name}, on "
        f"{config.data.name} ({training_examples(experiment)}), {epochs}",
        quiet,
    )
    tell(f"minimises the {experiment.task.statement(experiment.setup)}", quiet)
