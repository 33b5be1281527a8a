"""From a built run to its directory: the same checks for the command line and for Python."""

from __future__ import annotations

from pathlib import Path

from relaxit.training import Experiment
from relaxit.training.runs import RunDirectory

__all__ = ["open_directory"]


def open_directory(experiment: Experiment, path: Path | None, overwrite: bool) -> RunDirectory:
    """Create the directory of a run and write its configuration.

    Args:
        experiment: the run.
        path: the directory; None makes a new one in ``runs/``.
        overwrite: whether a run in the directory is replaced.

    Raises:
        ConfigurationError: if a run exists and ``overwrite`` is false, or the path is not a run
            directory.
        CheckpointError: if it cannot be written.
    """
    if path is None:
        run = RunDirectory.fresh(experiment.config)
    else:
        run = RunDirectory(path)
        run.create(overwrite)
    run.write_config(experiment.config, experiment.data.format)
    return run
