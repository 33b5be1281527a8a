"""Benchmarks: several implementations of one computation, timed in one interleaved run.

    from relaxit.bench import Benchmark, Implementation

A plugin returns its :class:`Benchmark` classes from the hook ``relaxit_benchmarks``, and
``relaxit bench structures`` or ``relaxit bench sampling`` runs them; :func:`run_benchmark` does so
from Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.bench.accuracy import Deviation as Deviation
    from relaxit.bench.benchmark import OWN as OWN
    from relaxit.bench.benchmark import Benchmark as Benchmark
    from relaxit.bench.benchmark import Implementation as Implementation
    from relaxit.bench.benchmark import Unavailable as Unavailable
    from relaxit.bench.lower_bound import LowerBound as LowerBound
    from relaxit.bench.lower_bound import Needs as Needs
    from relaxit.bench.lower_bound import Rates as Rates
    from relaxit.bench.measuring.rates import measure_rates as measure_rates
    from relaxit.bench.report import BenchmarkReport as BenchmarkReport
    from relaxit.bench.report import Measurement as Measurement
    from relaxit.bench.rounds import Spread as Spread
    from relaxit.bench.run import implementations_of as implementations_of
    from relaxit.bench.run import run_benchmark as run_benchmark
    from relaxit.bench.settings import BenchmarkSettings as BenchmarkSettings

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.bench.accuracy": ["Deviation"],
        "relaxit.bench.benchmark": ["OWN", "Benchmark", "Implementation", "Unavailable"],
        "relaxit.bench.lower_bound": ["LowerBound", "Needs", "Rates"],
        "relaxit.bench.measuring.rates": ["measure_rates"],
        "relaxit.bench.report": ["Measurement", "BenchmarkReport"],
        "relaxit.bench.rounds": ["Spread"],
        "relaxit.bench.run": ["implementations_of", "run_benchmark"],
        "relaxit.bench.settings": ["BenchmarkSettings"],
    },
)
