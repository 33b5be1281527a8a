"""``relaxit sample``: pictures from the prior of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relaxit.cli.output import tell
from relaxit.cli.plugin_file import PluginFiles, tell_changes
from relaxit.errors import ConfigurationError

__all__ = ["sample"]


def sample(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    out: Annotated[
        Path | None, typer.Option(help="PNG file; RUN/samples-SEED.png if absent.")
    ] = None,
    count: Annotated[int, typer.Option(help="How many pictures.")] = 64,
    seed: Annotated[int, typer.Option(help="Of the latents.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    plugin_files: PluginFiles = None,
) -> None:
    """Decode uniform latents to a PNG grid of pixel probabilities."""
    del plugin_files  # loaded by the option itself
    if not 1 <= count <= 100_000:
        raise ConfigurationError(f"--count must be from 1 to 100000, got {count}")
    from relaxit.training.figures import draw_samples, prior_samples
    from relaxit.training.finished import open_model
    from relaxit.training.rundir import RunDirectory

    model, relaxation, config = open_model(run, device)
    tell_changes(run)
    images = prior_samples(model, relaxation, config.latents, count, seed)
    path = out or run / f"samples-{seed}.png"
    columns = max(1, round(count**0.5))
    draw_samples(images, RunDirectory(run).image_size(), path, columns)
    tell(f"{count} pictures: {path}")
