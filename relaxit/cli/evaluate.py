"""``relaxit evaluate``: metrics of a finished run on the test part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relaxit.cli.output import print_json, tell
from relaxit.cli.plugin_option import PluginFiles, tell_changes
from relaxit.cli.tables import print_table
from relaxit.errors import ConfigurationError

if TYPE_CHECKING:
    from relaxit.training import Experiment

__all__ = ["evaluate"]


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    importance_samples: Annotated[
        int,
        typer.Option(help="Samples per example of the importance-weighted bound; 0 leaves it out."),
    ] = 0,
    data_dir: Annotated[
        str | None, typer.Option(help="Directory of the data files.", envvar="RELAXIT_DATA_DIR")
    ] = None,
    device: Annotated[str, typer.Option(help="Device: auto, cpu, cuda, cuda:N or mps.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    plugin_files: PluginFiles = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")] = False,
) -> None:
    """Evaluate a run on the test part, with its importance-weighted bound if requested."""
    del plugin_files  # loaded by the option itself
    if importance_samples < 0:
        raise ConfigurationError(
            f"--importance-samples must be at least 0, got {importance_samples}"
        )
    from relaxit.training.runs import open_run

    experiment = open_run(run, device, data_dir)
    tell_changes(run)
    bound = _bound(experiment, importance_samples, seed, json) if importance_samples else {}
    result: dict[str, float | int | str] = {
        "run": str(run),
        "test_examples": len(experiment.data.test),
        **experiment.evaluate("test", seed),
        **bound,
    }
    if json:
        print_json(result)
        return
    names = {"test_examples": f"test_{experiment.noun}"}
    rows = [
        [names.get(key, key), f"{value:.3f}" if isinstance(value, float) else str(value)]
        for key, value in result.items()
    ]
    print_table(experiment.display.unit, ["", ""], rows)


def _bound(experiment: Experiment, samples: int, seed: int, quiet: bool) -> dict[str, float | int]:
    """Compute the importance-weighted bound; a task that has none raises at once."""
    from relaxit.training import evaluation_mode

    task, part = experiment.task, experiment.data.test

    def progress(done: int) -> None:
        tell(f"importance samples: {done} of {len(part)} {experiment.noun}", quiet)

    with evaluation_mode(experiment.model):
        value = task.importance_weighted_bound(
            experiment.setup, experiment.model, part, samples, seed, progress
        )
    return {"importance_samples": samples, "test_importance_weighted_bound": value}
