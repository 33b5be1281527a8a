"""Callbacks that are notified of the progress of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from relaxit.training.display import Row

__all__ = ["Callback", "SilentCallback"]


class Callback(Protocol):
    """Interface of the callback that :func:`relaxit.training.train` notifies of progress."""

    def ready(self, engine: str, reason: str, seconds: float) -> None:
        """Called after the first step, which includes compiling or recording if there is any.

        Args:
            engine: name of the engine that executes the steps.
            reason: why this engine was chosen.
            seconds: duration of the first step.
        """

    def step(self, examples: int, means: Mapping[str, float]) -> None:
        """Called during an epoch, at most about five times per second.

        Args:
            examples: number of examples processed since the last call.
            means: loss and training metrics of the epoch so far.
        """

    def epoch(self, row: Row) -> None:
        """Called at the end of an epoch, with its metrics."""


class SilentCallback:
    """A callback that does nothing."""

    def ready(self, engine: str, reason: str, seconds: float) -> None:
        pass

    def step(self, examples: int, means: Mapping[str, float]) -> None:
        pass

    def epoch(self, row: Row) -> None:
        pass
