"""Who is told how a run goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from relaxit.training.task import Row

__all__ = ["Callback", "SilentCallback"]


class Callback(Protocol):
    """Who is told how the run goes."""

    def ready(self, engine: str, reason: str, seconds: float) -> None:
        """The first step is done. Compiling or recording it, if need be, took part of the seconds.

        Args:
            engine: what executes the steps.
            reason: why that one.
            seconds: of the first step.
        """

    def step(self, images: int, means: Mapping[str, float]) -> None:
        """``images`` more were seen; loss and training metrics of the epoch so far."""

    def epoch(self, row: Row) -> None:
        """An epoch has ended, with these metrics."""


class SilentCallback:
    """Tells nobody."""

    def ready(self, engine: str, reason: str, seconds: float) -> None:
        pass

    def step(self, images: int, means: Mapping[str, float]) -> None:
        pass

    def epoch(self, row: Row) -> None:
        pass
