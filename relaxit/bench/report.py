"""The results of a benchmark."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from relaxit.bench.accuracy import Deviation
from relaxit.bench.benchmark import Benchmark, Implementation
from relaxit.bench.lower_bound import LowerBound
from relaxit.bench.rounds import Spread

__all__ = ["BenchmarkReport", "Measurement", "Outcome"]

Outcome = Literal["done", "failed", "skipped"]


@dataclass
class Measurement:
    """The results of one implementation.

    Attributes:
        name, note, compiled, baseline: those of the implementation.
        outcome: ``done``; ``failed`` if it raised; ``skipped`` if it cannot be run here or was not
            requested.
        reason: why it failed or was skipped.
        first_seconds: seconds of its preparation and first call, compilation included.
        seconds: median and quartiles of a call.
        ratio: median over rounds of its time to the reference's in the same round.
        best_ratio: the same, to the fastest of the baselines; None where there is no baseline.
        times_lower_bound: its time in units of the lower bound; None where there is none.
        memory_bytes: peak memory of one call beyond what was held before, the result included.
        error: distance from the oracle's answer, where there is one.
    """

    name: str
    note: str
    compiled: bool
    baseline: str = ""
    outcome: Outcome = "done"
    reason: str = ""
    first_seconds: float | None = None
    seconds: Spread | None = None
    ratio: float | None = None
    best_ratio: float | None = None
    times_lower_bound: float | None = None
    memory_bytes: int | None = None
    error: Deviation | None = None

    @classmethod
    def of(cls, implementation: Implementation) -> Measurement:
        """Return the measurement of an implementation of which nothing is known yet."""
        return cls(
            implementation.name,
            implementation.note,
            implementation.compiled,
            implementation.baseline,
        )


@dataclass
class BenchmarkReport:
    """The results of one benchmark.

    Attributes:
        benchmark: benchmark that was run.
        reference: name of the implementation to whose times the ratios are.
        best: name of the fastest baseline, compiled ones included; empty if there is none.
        input_bytes: size of its inputs; 0 if it names none.
        lower_bound: least time of the work on this machine; None if it is not known.
        rounds: number of rounds that were run.
        reason: why nothing was run; empty if something was.
        measurements: one per implementation, in the benchmark's order.
    """

    benchmark: Benchmark
    reference: str = ""
    best: str = ""
    input_bytes: int = 0
    lower_bound: LowerBound | None = None
    rounds: int = 0
    reason: str = ""
    measurements: list[Measurement] = field(default_factory=list)

    @property
    def measured(self) -> bool:
        """Whether any implementation has times."""
        return any(measurement.seconds for measurement in self.measurements)

    @property
    def broken(self) -> bool:
        """Whether no implementation has times and something went wrong."""
        failed = any(measurement.outcome == "failed" for measurement in self.measurements)
        return not self.measured and (bool(self.reason) or failed)

    @property
    def excuses(self) -> list[str]:
        """Reasons why implementations were skipped, each with its name."""
        skipped = [
            measurement for measurement in self.measurements if measurement.outcome == "skipped"
        ]
        return [f"{measurement.name}: {measurement.reason}" for measurement in skipped]

    def in_inputs(self, measurement: Measurement) -> float | None:
        """Return the peak memory of an implementation in units of the inputs' size, or None."""
        if measurement.memory_bytes is None or not self.input_bytes:
            return None
        return measurement.memory_bytes / self.input_bytes

    def to_json(self) -> dict[str, Any]:
        """Return the report as values that JSON has, times in seconds."""
        benchmark = self.benchmark
        return {
            "name": benchmark.name,
            "structure": benchmark.structure,
            "group": benchmark.group,
            "summary": benchmark.summary,
            "options": benchmark.options.model_dump(mode="json"),
            "references": list(benchmark.references),
            "error_is": benchmark.error_is,
            "reference": self.reference,
            "best": self.best,
            "input_bytes": self.input_bytes,
            "lower_bound": self.lower_bound.to_json() if self.lower_bound else None,
            "rounds": self.rounds,
            "reason": self.reason,
            "implementations": [
                {**dataclasses.asdict(measurement), "memory_inputs": self.in_inputs(measurement)}
                for measurement in self.measurements
            ],
        }
