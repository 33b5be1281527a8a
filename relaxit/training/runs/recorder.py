"""What is written while a run is trained: metrics, weights, the state to resume from, figures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Self

from relaxit.training.display import Row
from relaxit.training.experiment import Experiment
from relaxit.training.runs.checkpoint import save_model, save_state
from relaxit.training.runs.directory import RunDirectory
from relaxit.training.runs.tracking import Tracker
from relaxit.training.trainer import Trainer

__all__ = ["SAVE_SECONDS", "Recorder"]

SAVE_SECONDS = 30.0
"""Shortest time between two saved states; a state is saved at the end of an epoch."""


class Recorder:
    """Writes the files of a run.

    Args:
        run: its directory; None writes nothing.
        experiment: the run.
    """

    def __init__(self, run: RunDirectory | None, experiment: Experiment) -> None:
        self.run, self.experiment = run, experiment
        self.tracker = None if run is None else Tracker(run)
        self._saved = time.monotonic()

    def __enter__(self) -> Self:
        if self.tracker:
            self.tracker.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.tracker:
            self.tracker.__exit__(*exc)

    @property
    def due(self) -> bool:
        """Whether the last state was saved long enough ago."""
        return self.run is not None and time.monotonic() - self._saved > SAVE_SECONDS

    def log(self, rows: Sequence[Row]) -> None:
        """Log the last of the epochs so far."""
        if self.tracker:
            self.tracker.log(rows)

    def save(self, trainer: Trainer) -> None:
        """Save weights and state, after the metrics: a state without them cannot be resumed."""
        if self.run and self.tracker:
            self.tracker.flush()
            self.save_weights()
            save_state(trainer.state_dict(), self.run.state_file)
            self._saved = time.monotonic()

    def save_weights(self) -> None:
        """Save the weights only."""
        if self.run:
            save_model(self.experiment.model, self.run.model_file)

    def draw(self, rows: Sequence[Row]) -> None:
        """Write the figures."""
        if self.run:
            self.experiment.draw(rows, self.run.path)
