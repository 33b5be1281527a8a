"""``relaxit sample``: images or texts from the prior of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relaxit.cli.output import tell
from relaxit.cli.plugin_option import PluginFiles, tell_changes
from relaxit.errors import ConfigurationError, Unsupported

__all__ = ["sample"]


def sample(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; RUN/samples-SEED.png or .txt if absent."),
    ] = None,
    count: Annotated[int, typer.Option(help="Number of samples.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the latents.")] = 0,
    device: Annotated[str, typer.Option(help="Device: auto, cpu, cuda, cuda:N or mps.")] = "auto",
    plugin_files: PluginFiles = None,
) -> None:
    """Draw from the prior of a run, if its task has one: a grid of images, or lines of text."""
    del plugin_files  # loaded by the option itself
    if not 1 <= count <= 100_000:
        raise ConfigurationError(f"--count must be from 1 to 100000, got {count}")
    from relaxit.training import draw_grid, evaluation_mode, write_texts
    from relaxit.training.runs import open_model

    task, setup, model, format = open_model(run, device)
    tell_changes(run)
    with evaluation_mode(model):
        samples = task.sample_prior(setup, model, count, seed)
    texts = task.as_text(samples)
    if texts is not None:
        path = out or run / f"samples-{seed}.txt"
        write_texts(texts, path)
        tell(f"{count} texts: {path}")
        return
    if len(format.inputs.shape) != 2:
        raise Unsupported(
            f"examples of shape {list(format.inputs.shape)} are no images; in Python, "
            f"relaxit.load_run({str(run)!r}).sample({count}) returns them"
        )
    path = out or run / f"samples-{seed}.png"
    size = (format.inputs.shape[0], format.inputs.shape[1])
    draw_grid(samples, size, max(1, round(count**0.5)), path)
    tell(f"{count} images: {path}")
