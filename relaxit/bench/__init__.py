"""Benchmarks: one piece of work, several contenders, one interleaved run.

    from relaxit.bench import Benchmark, Contender

A plugin returns its :class:`Benchmark` classes from the hook ``relaxit_benchmarks``, and
``relaxit bench structures`` or ``relaxit bench sampling`` runs them; :func:`run_benchmark` does so
from Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.bench import tutorial as tutorial
    from relaxit.bench.accuracy import Error as Error
    from relaxit.bench.benchmark import OWN as OWN
    from relaxit.bench.benchmark import Benchmark as Benchmark
    from relaxit.bench.benchmark import Contender as Contender
    from relaxit.bench.benchmark import Unavailable as Unavailable
    from relaxit.bench.clock import wait_for as wait_for
    from relaxit.bench.failure import reason_of as reason_of
    from relaxit.bench.lower_bound import Floor as Floor
    from relaxit.bench.lower_bound import Needs as Needs
    from relaxit.bench.lower_bound import Rates as Rates
    from relaxit.bench.machine import cores as cores
    from relaxit.bench.machine import seconds_since_start as seconds_since_start
    from relaxit.bench.machine import setting as setting
    from relaxit.bench.machine import threads as threads
    from relaxit.bench.memory import peak_bytes as peak_bytes
    from relaxit.bench.processes import RELAXIT as RELAXIT
    from relaxit.bench.processes import Program as Program
    from relaxit.bench.processes import ProgramReport as ProgramReport
    from relaxit.bench.processes import run_program as run_program
    from relaxit.bench.processes import time_programs as time_programs
    from relaxit.bench.rates import measure_rates as measure_rates
    from relaxit.bench.report import Measurement as Measurement
    from relaxit.bench.report import Report as Report
    from relaxit.bench.rounds import Spread as Spread
    from relaxit.bench.run import contenders_of as contenders_of
    from relaxit.bench.run import run_benchmark as run_benchmark
    from relaxit.bench.settings import Settings as Settings
    from relaxit.bench.startup import REFERENCE as REFERENCE
    from relaxit.bench.startup import startup_programs as startup_programs

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.bench.accuracy": ["Error"],
        "relaxit.bench.benchmark": ["OWN", "Benchmark", "Contender", "Unavailable"],
        "relaxit.bench.clock": ["wait_for"],
        "relaxit.bench.failure": ["reason_of"],
        "relaxit.bench.lower_bound": ["Floor", "Needs", "Rates"],
        "relaxit.bench.machine": ["cores", "seconds_since_start", "setting", "threads"],
        "relaxit.bench.memory": ["peak_bytes"],
        "relaxit.bench.processes": [
            "RELAXIT",
            "Program",
            "ProgramReport",
            "run_program",
            "time_programs",
        ],
        "relaxit.bench.rates": ["measure_rates"],
        "relaxit.bench.report": ["Measurement", "Report"],
        "relaxit.bench.rounds": ["Spread"],
        "relaxit.bench.run": ["contenders_of", "run_benchmark"],
        "relaxit.bench.settings": ["Settings"],
        "relaxit.bench.startup": ["REFERENCE", "startup_programs"],
        "relaxit.bench.tutorial": ["tutorial"],
    },
)
