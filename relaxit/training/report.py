"""Who is told how a run goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from relaxit.training.task import Row

__all__ = ["Report", "Silent"]


class Report(Protocol):
    """Who is told how the run goes."""

    def step(self, images: int, means: Mapping[str, float]) -> None:
        """``images`` more were seen; loss and training metrics of the epoch so far."""

    def epoch(self, row: Row) -> None:
        """An epoch has ended, with these metrics."""


class Silent:
    """Tells nobody."""

    def step(self, images: int, means: Mapping[str, float]) -> None:
        pass

    def epoch(self, row: Row) -> None:
        pass
