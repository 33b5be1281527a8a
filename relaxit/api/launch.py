"""The beginning and the end of a run: its directory, and what follows if a signal stopped it."""

from __future__ import annotations

from pathlib import Path

from relaxit.training import Experiment
from relaxit.training.runs import RunDirectory

__all__ = ["open_directory", "require_finished"]


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


def require_finished(exit_code: int, path: Path | None) -> None:
    """Raise if a signal stopped the training, after everything was saved.

    Args:
        exit_code: exit code of the run: 0, 130 after Ctrl-C or 143 after SIGTERM.
        path: its directory; None if nothing was saved.

    Raises:
        KeyboardInterrupt: after Ctrl-C.
        SystemExit: after SIGTERM, with the exit code.
    """
    if exit_code == 130:
        saved = f"; what was trained is in {path}" if path else ""
        raise KeyboardInterrupt(f"training was stopped{saved}")
    if exit_code:
        raise SystemExit(exit_code)
