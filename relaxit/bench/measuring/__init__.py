"""Tools for measurements: clocks, memory, the machine and its rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.bench.measuring.clock import repeating_timer_for as repeating_timer_for
    from relaxit.bench.measuring.clock import timer_for as timer_for
    from relaxit.bench.measuring.clock import wait_for as wait_for
    from relaxit.bench.measuring.compiler import cannot_compile as cannot_compile
    from relaxit.bench.measuring.machine import cores as cores
    from relaxit.bench.measuring.machine import seconds_since_start as seconds_since_start
    from relaxit.bench.measuring.machine import setting as setting
    from relaxit.bench.measuring.machine import threads as threads
    from relaxit.bench.measuring.memory import peak_bytes as peak_bytes
    from relaxit.bench.measuring.rates import measure_rates as measure_rates

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.bench.measuring.clock": ["repeating_timer_for", "timer_for", "wait_for"],
        "relaxit.bench.measuring.compiler": ["cannot_compile"],
        "relaxit.bench.measuring.machine": ["cores", "seconds_since_start", "setting", "threads"],
        "relaxit.bench.measuring.memory": ["peak_bytes"],
        "relaxit.bench.measuring.rates": ["measure_rates"],
    },
)
