"""What comes before the rounds: an implementation's first call, its error, warm-up and memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from relaxit.bench.accuracy import deviation_of
from relaxit.bench.benchmark import Benchmark, Implementation, Unavailable
from relaxit.bench.measuring.clock import wait_for
from relaxit.bench.measuring.compiler import cannot_compile
from relaxit.bench.measuring.memory import peak_bytes
from relaxit.bench.report import Measurement
from relaxit.bench.settings import BenchmarkSettings
from relaxit.errors import error_summary

__all__ = ["Call", "Work"]

Call = Callable[[], Tensor | tuple[Tensor, ...]]
"""Does the work once."""

_WARM_UP_CALLS, _WARM_UP_SECONDS = 3, 1.0


@dataclass(frozen=True)
class Work:
    """What all implementations of one run are given.

    Attributes:
        benchmark: whose implementations they are.
        device: where they run.
        settings: how.
        oracle: the right answer; None if there is none.
    """

    benchmark: Benchmark
    device: torch.device
    settings: BenchmarkSettings
    oracle: Tensor | tuple[Tensor, ...] | None = None

    def prepare(self, implementation: Implementation) -> tuple[Measurement, Call | None]:
        """Bring an implementation to where its calls can be timed.

        Returns:
            All that is measured but the times; and the call, or None if the implementation was
            skipped or failed, which the measurement then says.
        """
        found = Measurement.of(implementation)
        try:
            if implementation.compiled:
                self._require_compiler()
            call = self._first(implementation, found)
            self._warm_up(call)
            found.memory_bytes = peak_bytes(call, self.device)
        except Unavailable as error:
            found.outcome, found.reason = "skipped", str(error)
        except Exception as error:
            found.outcome, found.reason = "failed", error_summary(error)
        else:
            return found, call
        return found, None

    def _require_compiler(self) -> None:
        if not self.settings.compiled:
            raise Unavailable("compiled ones were not asked for")
        if why := cannot_compile(self.device):
            raise Unavailable(why)

    def _first(self, implementation: Implementation, found: Measurement) -> Call:
        """The implementation's call, made once and compared with the oracle."""
        started = time.perf_counter()
        try:
            call = implementation.make()
        except ModuleNotFoundError as error:
            raise Unavailable(f"{error.name} is not installed") from error
        torch.manual_seed(self.settings.seed)
        result = call()
        wait_for(self.device)
        found.first_seconds = time.perf_counter() - started
        if self.oracle is not None:
            found.error = deviation_of(self.benchmark.compared(result), self.oracle)
        return call

    def _warm_up(self, call: Call) -> None:
        """A few calls, or as many as fit into a second."""
        end = time.monotonic() + _WARM_UP_SECONDS
        for _ in range(_WARM_UP_CALLS):
            call()
            wait_for(self.device)
            if time.monotonic() >= end:
                break
