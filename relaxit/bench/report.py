"""What came of a benchmark."""

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
    """What came of one contender.

    Attributes:
        name, note, compiled, peer: the contender's own.
        outcome: ``done``; ``failed`` if it raised; ``skipped`` if it cannot be run here or was not
            asked for.
        reason: why it failed or was skipped.
        first_seconds: of its preparation and its first call, compilation included.
        seconds: median and quartiles of a call.
        ratio: median over rounds of its time to the reference's in the same round.
        best_ratio: the same, to the fastest of the peers; None where there is no peer.
        floors: its time in units of the floor; None where there is none.
        memory_bytes: peak of one call beyond what was held before, the result included.
        error: distance from the oracle's answer, where there is one.
    """

    name: str
    note: str
    compiled: bool
    peer: str = ""
    outcome: Outcome = "done"
    reason: str = ""
    first_seconds: float | None = None
    seconds: Spread | None = None
    ratio: float | None = None
    best_ratio: float | None = None
    floors: float | None = None
    memory_bytes: int | None = None
    error: Deviation | None = None

    @classmethod
    def of(cls, contender: Implementation) -> Measurement:
        """Of a contender of which nothing is known yet."""
        return cls(contender.name, contender.note, contender.compiled, contender.peer)


@dataclass
class BenchmarkReport:
    """What came of one benchmark.

    Attributes:
        benchmark: the object that was run.
        reference: name of the contender whose times the ratios are of.
        best: name of the fastest peer, compiled ones included; empty if there is none.
        input_bytes: size of its inputs; 0 if it names none.
        floor: the least time of the work on this machine; None if it is not known.
        rounds: how many were run.
        reason: why nothing was run; empty if something was.
        measurements: one a contender, in the benchmark's order.
    """

    benchmark: Benchmark
    reference: str = ""
    best: str = ""
    input_bytes: int = 0
    floor: LowerBound | None = None
    rounds: int = 0
    reason: str = ""
    measurements: list[Measurement] = field(default_factory=list)

    @property
    def measured(self) -> bool:
        """Whether any contender has times."""
        return any(each.seconds for each in self.measurements)

    @property
    def broken(self) -> bool:
        """Whether no contender has times and something went wrong."""
        failed = any(each.outcome == "failed" for each in self.measurements)
        return not self.measured and (bool(self.reason) or failed)

    @property
    def excuses(self) -> list[str]:
        """Why contenders were skipped, each by its name."""
        skipped = [each for each in self.measurements if each.outcome == "skipped"]
        return [f"{each.name}: {each.reason}" for each in skipped]

    def in_inputs(self, measurement: Measurement) -> float | None:
        """Peak memory of a contender in units of the inputs' size; None where either is unknown."""
        if measurement.memory_bytes is None or not self.input_bytes:
            return None
        return measurement.memory_bytes / self.input_bytes

    def to_json(self) -> dict[str, Any]:
        """All of it in values that JSON has, times in seconds."""
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
            "floor": self.floor.to_json() if self.floor else None,
            "rounds": self.rounds,
            "reason": self.reason,
            "contenders": [
                {**dataclasses.asdict(each), "memory_inputs": self.in_inputs(each)}
                for each in self.measurements
            ],
        }
