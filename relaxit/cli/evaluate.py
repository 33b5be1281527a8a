"""``relaxit evaluate``: bounds of a finished run on the test part."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relaxit.cli.output import print_json, print_table, tell
from relaxit.cli.plugin_file import PluginFiles, tell_changes
from relaxit.errors import ConfigurationError

__all__ = ["evaluate"]


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    importance_samples: Annotated[
        int,
        typer.Option(help="Samples a picture of the importance-weighted bound; 0 leaves it out."),
    ] = 0,
    data_dir: Annotated[
        str | None, typer.Option(help="Folder of the data files.", envvar="RELAXIT_DATA_DIR")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    plugin_files: PluginFiles = None,
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Report the discrete ELBO of a run, and its importance-weighted bound."""
    del plugin_files  # loaded by the option itself
    if importance_samples < 0:
        raise ConfigurationError(f"--importance-samples must be >= 0, got {importance_samples}")
    from relaxit.training.evaluation import discrete_elbo, importance_weighted_bound
    from relaxit.training.finished import open_run

    experiment = open_run(run, device, data_dir)
    tell_changes(run)
    model, relaxation, images = experiment.model, experiment.relaxation, experiment.images
    binarise = experiment.config.data.binarise
    bound = discrete_elbo(model, relaxation, images.test, images.levels, binarise, seed)
    result: dict[str, float | int | str] = {
        "run": str(run),
        "test_images": len(images.test),
        "test_elbo_discrete": bound.elbo,
        "test_reconstruction": bound.reconstruction,
        "test_kl": bound.kl,
    }
    if importance_samples:
        count = len(images.test)

        def progress(done: int) -> None:
            tell(f"importance samples: {done} of {count} pictures", json)

        result["importance_samples"] = importance_samples
        result["test_importance_weighted_bound"] = importance_weighted_bound(
            model,
            relaxation,
            images.test,
            images.levels,
            importance_samples,
            binarise,
            seed,
            progress,
        )
    if json:
        print_json(result)
        return
    rows = [
        [key, f"{value:.3f}" if isinstance(value, float) else str(value)]
        for key, value in result.items()
    ]
    print_table("nats a picture", ["", ""], rows)
