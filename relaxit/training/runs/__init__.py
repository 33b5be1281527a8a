"""A run on disk: its directory, its files, and how it is loaded again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.training.runs.checkpoint import load_model as load_model
    from relaxit.training.runs.checkpoint import load_state as load_state
    from relaxit.training.runs.checkpoint import save_model as save_model
    from relaxit.training.runs.checkpoint import save_state as save_state
    from relaxit.training.runs.directory import RunDirectory as RunDirectory
    from relaxit.training.runs.loading import LoadedRun as LoadedRun
    from relaxit.training.runs.loading import open_model as open_model
    from relaxit.training.runs.loading import open_run as open_run
    from relaxit.training.runs.recorder import Recorder as Recorder
    from relaxit.training.runs.tracking import Tracker as Tracker

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.training.runs.checkpoint": [
            "load_model",
            "load_state",
            "save_model",
            "save_state",
        ],
        "relaxit.training.runs.directory": ["RunDirectory"],
        "relaxit.training.runs.loading": ["LoadedRun", "open_model", "open_run"],
        "relaxit.training.runs.recorder": ["Recorder"],
        "relaxit.training.runs.tracking": ["Tracker"],
    },
)
