"""Runs a benchmark: implementations are prepared, compared and warmed up, then timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from relaxit.bench.benchmark import OWN, Benchmark, Implementation
from relaxit.bench.lower_bound import LowerBound, Rates, lower_bound_of
from relaxit.bench.measuring.clock import Timer, timer_for
from relaxit.bench.measuring.memory import bytes_of
from relaxit.bench.prepare import Call, Work
from relaxit.bench.report import BenchmarkReport, Measurement
from relaxit.bench.rounds import Interrupted, Spread, median_ratio, run_rounds
from relaxit.bench.settings import BenchmarkSettings
from relaxit.errors import ConfigurationError, error_summary

__all__ = ["Stopped", "implementations_of", "run_benchmark"]


class Stopped(KeyboardInterrupt):
    """Ctrl-C during the rounds; ``report`` has the results of the rounds before it."""

    def __init__(self, report: object) -> None:
        super().__init__()
        self.report = report


def run_benchmark(
    benchmark: Benchmark,
    device: torch.device,
    settings: BenchmarkSettings | None = None,
    *,
    rates: Rates | None = None,
    timer: Timer | None = None,
    clock: Callable[[], float] = time.monotonic,
    progress: Callable[[str], None] = lambda text: None,
) -> BenchmarkReport:
    """Run all implementations of a benchmark and report the results of each.

    An exception of an implementation or of the benchmark is reported and stops nothing. The global
    random generators are restored afterwards.

    Args:
        benchmark: benchmark to run.
        device: device on which to run it.
        settings: settings of the run; the defaults if None.
        rates: rates of the machine, for the lower bound of a benchmark that states what its work
            needs; no such lower bound if None.
        timer: makes one call and returns its seconds; the device's own if None.
        clock: clock by which the seconds of the settings are measured.
        progress: called with a description of what is running.

    Raises:
        Stopped: at Ctrl-C during the rounds, with the report so far.

    Example:
        >>> import relaxit.plugins.registry
        >>> benchmarks = relaxit.plugins.default_registry().items("benchmark")
        >>> small = benchmarks["categorical-hard"](batch=8, latents=2, categories=3)
        >>> report = run_benchmark(small, torch.device("cpu"), BenchmarkSettings(rounds=3))
        >>> report.rounds, report.reason, report.measured
        (3, '', True)
    """
    settings = settings or BenchmarkSettings()
    report = BenchmarkReport(benchmark)
    with _seeded(device, settings.seed):
        try:
            implementations = _selected(implementations_of(benchmark, device), settings.against)
            references = _references(implementations, settings.against)
            report.reference = references[0]
            needs = benchmark.needs(device) if rates else None
            report.lower_bound = lower_bound_of(needs, rates) if needs and rates else None
            report.input_bytes = bytes_of(benchmark.inputs(device))
            work = Work(benchmark, device, settings, benchmark.oracle(device))
        except Exception as error:
            report.reason = error_summary(error)
            return report
        calls = _prepare(report, work, implementations, progress)
        try:
            times, failed = run_rounds(
                calls,
                timer or timer_for(device),
                settings.rounds,
                settings.seconds,
                seed=settings.seed,
                clock=clock,
                progress=lambda number: progress(f"round {number} of {settings.rounds} at most"),
            )
            _enter(report, times, failed, references)
        except Interrupted as stop:
            _enter(report, stop.times, stop.failed, references)
            raise Stopped(report) from stop
        finally:
            _find_lower_bounds(report, implementations)
    return report


def implementations_of(benchmark: Benchmark, device: torch.device) -> list[Implementation]:
    """Return the implementations of a benchmark.

    Raises:
        ConfigurationError: if there are none, two share a name, or two are the reference or the
            lower bound.
    """
    implementations = list(benchmark.implementations(device))
    names = [implementation.name for implementation in implementations]
    if not implementations:
        raise ConfigurationError(f"benchmark {benchmark.name!r} has no implementations")
    if len(set(names)) < len(names):
        raise ConfigurationError(f"implementations share a name: {', '.join(names)}")
    if sum(implementation.reference for implementation in implementations) > 1:
        raise ConfigurationError("more than one implementation is the reference")
    if sum(implementation.lower_bound for implementation in implementations) > 1:
        raise ConfigurationError("more than one implementation is the lower bound")
    return implementations


def _selected(
    implementations: list[Implementation], against: frozenset[str]
) -> list[Implementation]:
    """Return our own implementations and those of the named baselines; all if none is named.

    Raises:
        ConfigurationError: if none is left.
    """
    if not against:
        return implementations
    selected = [
        candidate
        for candidate in implementations
        if not candidate.baseline or candidate.baseline in against
    ]
    if not selected:
        names = ", ".join(sorted(against | {OWN}))
        raise ConfigurationError(f"no implementation is of {names}")
    return selected


def _references(implementations: Sequence[Implementation], against: frozenset[str]) -> list[str]:
    """Return the candidates for the reference: the marked implementation, else the first.

    If baselines were selected and the marked one is not among theirs: the implementations of the
    baselines, then our own, of which the first that has times becomes the reference.
    """
    marked = [candidate for candidate in implementations if candidate.reference]
    if not marked and not against:
        marked = [implementations[0]]
    return [
        candidate.name
        for candidate in marked
        or sorted(implementations, key=lambda candidate: not candidate.baseline)
    ]


def _find_lower_bounds(report: BenchmarkReport, implementations: Sequence[Implementation]) -> None:
    """Enter the times in units of the lower bound, which may be an implementation's own time."""
    times = {row.name: row.seconds.median for row in report.measurements if row.seconds}
    for implementation in implementations:
        if implementation.lower_bound and (seconds := times.get(implementation.name)):
            report.lower_bound = LowerBound(seconds, {implementation.name: seconds})
    if report.lower_bound and report.lower_bound.seconds:
        for row in report.measurements:
            if row.seconds:
                row.times_lower_bound = row.seconds.median / report.lower_bound.seconds


def _prepare(
    report: BenchmarkReport,
    work: Work,
    implementations: Sequence[Implementation],
    progress: Callable[[str], None],
) -> dict[str, Call]:
    """Return the calls that can be timed, by name; each implementation gets a measurement."""
    torch.compiler.reset()  # else sizes that ran before count towards dynamo's limit
    calls: dict[str, Call] = {}
    for implementation in implementations:
        if work.settings.only and implementation.name not in work.settings.only:
            continue
        progress(f"{implementation.name}: warming up")
        measurement, call = work.prepare(implementation)
        report.measurements.append(measurement)
        if call is not None:
            calls[implementation.name] = call
    return calls


def _enter(
    report: BenchmarkReport,
    times: dict[str, list[float]],
    failed: dict[str, str],
    references: Sequence[str],
) -> None:
    """Enter the times into the measurements."""
    report.rounds = max(map(len, times.values()), default=0)
    report.reference = next((name for name in references if times.get(name)), references[0])
    reference = times.get(report.reference)
    for row in report.measurements:
        if row.name in failed:
            row.outcome, row.reason = "failed", failed[row.name]
        if seconds := times.get(row.name):
            row.seconds = Spread.of(seconds)
            row.ratio = median_ratio(seconds, reference) if reference else None
    baselines = [row for row in report.measurements if row.baseline and row.seconds]
    if baselines:
        report.best = min(baselines, key=_median).name
        for row in report.measurements:
            if seconds := times.get(row.name):
                row.best_ratio = median_ratio(seconds, times[report.best])


def _median(row: Measurement) -> float:
    assert row.seconds is not None
    return row.seconds.median


@contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Context in which the global generators are seeded; they are restored afterwards."""
    accelerated = device.type != "cpu"
    devices = [device] if accelerated else []
    kind = device.type if accelerated else "cuda"
    with torch.random.fork_rng(devices=devices, device_type=kind):
        torch.manual_seed(seed)
        yield
