"""Benchmarks: one piece of work, several contenders, one interleaved run.

    from relaxit.bench import Benchmark, Contender

A plugin returns its :class:`Benchmark` classes from the hook ``relaxit_benchmarks``, and
``relaxit bench structures`` or ``relaxit bench sampling`` runs them; :func:`run_benchmark` does so
from Python.
"""

from __future__ import annotations

from relaxit.bench.accuracy import Error
from relaxit.bench.benchmark import Benchmark, Contender, Unavailable
from relaxit.bench.floor import Floor, Needs, Rates
from relaxit.bench.rates import measure_rates
from relaxit.bench.report import Measurement, Report
from relaxit.bench.rounds import Spread
from relaxit.bench.run import run_benchmark
from relaxit.bench.settings import Settings

__all__ = [
    "Benchmark",
    "Contender",
    "Error",
    "Floor",
    "Measurement",
    "Needs",
    "Rates",
    "Report",
    "Settings",
    "Spread",
    "Unavailable",
    "measure_rates",
    "run_benchmark",
]
