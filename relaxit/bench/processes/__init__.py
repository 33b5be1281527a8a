"""Whole programs, timed from Enter to their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.bench.processes.programs import RELAXIT as RELAXIT
    from relaxit.bench.processes.programs import Program as Program
    from relaxit.bench.processes.programs import ProgramReport as ProgramReport
    from relaxit.bench.processes.programs import run_program as run_program
    from relaxit.bench.processes.programs import time_programs as time_programs

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.bench.processes.programs": [
            "Program",
            "ProgramReport",
            "RELAXIT",
            "run_program",
            "time_programs",
        ],
    },
)
