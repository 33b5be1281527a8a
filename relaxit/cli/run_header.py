"""The first lines of a training run: where, from which seed, and what is minimised."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from relaxit.cli.output import tell

if TYPE_CHECKING:
    from relaxit.training import Experiment

__all__ = ["print_header"]


def print_header(experiment: Experiment, who: str, path: Path, quiet: bool) -> None:
    """Say what begins.

    Args:
        experiment: the run, or one of several that are alike.
        who: which of them, ``seed 0``.
        path: folder of the results.
        quiet: whether to say nothing.
    """
    config, images = experiment.config, experiment.images
    why = "best there is" if config.device == "auto" else "as asked"
    tell(f"device {experiment.device} ({why}), {who}, run {path}", quiet)
    tell(
        f"{config.latents} x {experiment.relaxation!r} by {config.estimator.name}, on "
        f"{config.data.name} ({len(images.train)} training images of "
        f"{images.size[0]}x{images.size[1]}), {config.epochs} epochs",
        quiet,
    )
    tell(f"minimises the {experiment.task.statement(experiment.setup)}", quiet)
