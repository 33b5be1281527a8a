"""Train and use models from Python: what the command line does, as functions and one object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.api.first_lines import describe as describe
    from relaxit.api.fitting import fit as fit
    from relaxit.api.launch import open_directory as open_directory
    from relaxit.api.progress import ProgressCallback as ProgressCallback
    from relaxit.api.run import Run as Run
    from relaxit.api.run import load_run as load_run
    from relaxit.api.runs import Runs as Runs
    from relaxit.api.train_recipe import train as train

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.api.fitting": ["fit"],
        "relaxit.api.launch": ["open_directory"],
        "relaxit.api.first_lines": ["describe"],
        "relaxit.api.progress": ["ProgressCallback"],
        "relaxit.api.run": ["Run", "load_run"],
        "relaxit.api.runs": ["Runs"],
        "relaxit.api.train_recipe": ["train"],
    },
)
