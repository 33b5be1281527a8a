"""Runs a benchmark: every contender is prepared, compared and warmed up, then all are timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from relaxit.bench.benchmark import Benchmark, Contender
from relaxit.bench.clock import Timer, timer_for
from relaxit.bench.failure import reason_of
from relaxit.bench.memory import bytes_of
from relaxit.bench.prepare import Call, Work
from relaxit.bench.report import Report
from relaxit.bench.rounds import Spread, median_ratio, run_rounds
from relaxit.bench.settings import Settings
from relaxit.errors import ConfigurationError

__all__ = ["contenders_of", "run_benchmark"]


def run_benchmark(
    benchmark: Benchmark,
    device: torch.device,
    settings: Settings | None = None,
    *,
    timer: Timer | None = None,
    clock: Callable[[], float] = time.monotonic,
    progress: Callable[[str], None] = lambda text: None,
) -> Report:
    """Run all contenders of a benchmark and say what came of each.

    What a contender or the benchmark raises is reported and stops nothing. The global random
    generators are as before afterwards.

    Args:
        benchmark: what to run.
        device: where.
        settings: the defaults if None.
        timer: makes one call and returns its seconds; the device's own if None.
        clock: where the settings' seconds are read.
        progress: told what is being done.

    Example:
        >>> import relaxit.registry
        >>> found = relaxit.registry.default().items("benchmark")
        >>> small = found["categorical-hard"](batch=8, latents=2)
        >>> report = run_benchmark(small, torch.device("cpu"), Settings(rounds=3))
        >>> report.rounds, report.reason, report.measured
        (3, '', True)
    """
    settings = settings or Settings()
    report = Report(benchmark)
    with _seeded(device, settings.seed):
        try:
            contenders = contenders_of(benchmark, device)
            report.reference = _reference(contenders)
            report.input_bytes = bytes_of(benchmark.inputs(device))
            work = Work(benchmark, device, settings, benchmark.oracle(device))
        except Exception as error:
            report.reason = reason_of(error)
            return report
        calls = _prepare(report, work, contenders, progress)
        _time(report, calls, timer or timer_for(device), settings, clock, progress)
    return report


def contenders_of(benchmark: Benchmark, device: torch.device) -> list[Contender]:
    """The contenders of a benchmark.

    Raises:
        ConfigurationError: if there are none, two share a name, or two are the reference.
    """
    found = list(benchmark.contenders(device))
    names = [contender.name for contender in found]
    if not found:
        raise ConfigurationError(f"benchmark {benchmark.name!r} has no contenders")
    if len(set(names)) < len(names):
        raise ConfigurationError(f"contenders share a name: {', '.join(names)}")
    if sum(contender.reference for contender in found) > 1:
        raise ConfigurationError("more than one contender is the reference")
    return found


def _reference(contenders: Sequence[Contender]) -> str:
    return next((each.name for each in contenders if each.reference), contenders[0].name)


def _prepare(
    report: Report,
    work: Work,
    contenders: Sequence[Contender],
    progress: Callable[[str], None],
) -> dict[str, Call]:
    """The calls that can be timed, by name; the report gets a measurement for each contender."""
    torch.compiler.reset()  # or the sizes that ran before count towards dynamo's limit
    calls: dict[str, Call] = {}
    for contender in contenders:
        if work.settings.only and contender.name not in work.settings.only:
            continue
        progress(f"{contender.name}: warming up")
        measurement, call = work.prepare(contender)
        report.measurements.append(measurement)
        if call is not None:
            calls[contender.name] = call
    return calls


def _time(
    report: Report,
    calls: dict[str, Call],
    timer: Timer,
    settings: Settings,
    clock: Callable[[], float],
    progress: Callable[[str], None],
) -> None:
    """Time the calls, and enter the times into the measurements."""
    times, failed = run_rounds(
        calls,
        timer,
        settings.rounds,
        settings.seconds,
        seed=settings.seed,
        clock=clock,
        progress=lambda number: progress(f"round {number} of {settings.rounds} at most"),
    )
    report.rounds = max(map(len, times.values()), default=0)
    reference = times.get(report.reference)
    for each in report.measurements:
        if each.name in failed:
            each.outcome, each.reason = "failed", failed[each.name]
        if seconds := times.get(each.name):
            each.seconds = Spread.of(seconds)
            each.ratio = median_ratio(seconds, reference) if reference else None


@contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Global generators seeded, and put back afterwards."""
    accelerated = device.type != "cpu"
    devices = [device] if accelerated else []
    kind = device.type if accelerated else "cuda"
    with torch.random.fork_rng(devices=devices, device_type=kind):
        torch.manual_seed(seed)
        yield
