"""The steps before the rounds: an implementation's first call, its error, warm-up and memory."""

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
    """What all implementations of one run share.

    Attributes:
        benchmark: benchmark of the implementations.
        device: device on which they run.
        settings: settings of the run.
        oracle: right answer; None if there is none.
    """

    benchmark: Benchmark
    device: torch.device
    settings: BenchmarkSettings
    oracle: Tensor | tuple[Tensor, ...] | None = None

    def prepare(self, implementation: Implementation) -> tuple[Measurement, Call | None]:
        """Prepare an implementation, so that its calls can be timed.

        Returns:
            The measurement without times; and the call, or None if the implementation was skipped
            or failed, as the measurement then states.
        """
        measurement = Measurement.of(implementation)
        try:
            if implementation.compiled:
                self._require_compiler()
            call = self._first(implementation, measurement)
            self._warm_up(call)
            measurement.memory_bytes = peak_bytes(call, self.device)
        except Unavailable as error:
            measurement.outcome, measurement.reason = "skipped", str(error)
        except Exception as error:
            measurement.outcome, measurement.reason = "failed", error_summary(error)
        else:
            return measurement, call
        return measurement, None

    def _require_compiler(self) -> None:
        if not self.settings.compiled:
            raise Unavailable("compiled implementations were not requested")
        if why := cannot_compile(self.device):
            raise Unavailable(why)

    def _first(self, implementation: Implementation, measurement: Measurement) -> Call:
        """Return the implementation's call, after one call that is compared with the oracle."""
        started = time.perf_counter()
        try:
            call = implementation.make()
        except ModuleNotFoundError as error:
            raise Unavailable(f"{error.name} is not installed") from error
        torch.manual_seed(self.settings.seed)
        result = call()
        wait_for(self.device)
        measurement.first_seconds = time.perf_counter() - started
        if self.oracle is not None:
            measurement.error = deviation_of(self.benchmark.compared(result), self.oracle)
        return call

    def _warm_up(self, call: Call) -> None:
        """Make a few calls, or as many as fit into a second."""
        end = time.monotonic() + _WARM_UP_SECONDS
        for _ in range(_WARM_UP_CALLS):
            call()
            wait_for(self.device)
            if time.monotonic() >= end:
                break
