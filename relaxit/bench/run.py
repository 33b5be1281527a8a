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
    """Ctrl-C during the rounds; ``report`` has what the rounds before it gave."""

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
    """Run all implementations of a benchmark and say what came of each.

    What an implementation or the benchmark raises is reported and stops nothing. The global random
    generators are as before afterwards.

    Args:
        benchmark: what to run.
        device: where.
        settings: the defaults if None.
        rates: of the machine, for the lower bound of a benchmark that says what its work needs; no
            such lower bound if None.
        timer: makes one call and returns its seconds; the device's own if None.
        clock: where the settings' seconds are read.
        progress: told what is being done.

    Raises:
        Stopped: at Ctrl-C during the rounds, with the report so far.

    Example:
        >>> import relaxit.plugins.registry
        >>> found = relaxit.plugins.registry.default_registry().items("benchmark")
        >>> small = found["categorical-hard"](batch=8, latents=2, categories=3)
        >>> report = run_benchmark(small, torch.device("cpu"), BenchmarkSettings(rounds=3))
        >>> report.rounds, report.reason, report.measured
        (3, '', True)
    """
    settings = settings or BenchmarkSettings()
    report = BenchmarkReport(benchmark)
    with _seeded(device, settings.seed):
        try:
            implementations = _invited(implementations_of(benchmark, device), settings.against)
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
    """The implementations of a benchmark.

    Raises:
        ConfigurationError: if there are none, two share a name, or two are the reference or the
            lower bound.
    """
    found = list(benchmark.implementations(device))
    names = [implementation.name for implementation in found]
    if not found:
        raise ConfigurationError(f"benchmark {benchmark.name!r} has no implementations")
    if len(set(names)) < len(names):
        raise ConfigurationError(f"implementations share a name: {', '.join(names)}")
    if sum(implementation.reference for implementation in found) > 1:
        raise ConfigurationError("more than one implementation is the reference")
    if sum(implementation.lower_bound for implementation in found) > 1:
        raise ConfigurationError("more than one implementation is the lower bound")
    return found


def _invited(
    implementations: list[Implementation], against: frozenset[str]
) -> list[Implementation]:
    """Our own and those of the baselines that are named; all if none is.

    Raises:
        ConfigurationError: if nobody is left.
    """
    if not against:
        return implementations
    found = [each for each in implementations if not each.baseline or each.baseline in against]
    if not found:
        raise ConfigurationError(f"no implementation is of {', '.join(sorted(against | {OWN}))}")
    return found


def _references(implementations: Sequence[Implementation], against: frozenset[str]) -> list[str]:
    """Whom the ratios may be to: the one that is marked; else the first.

    If baselines were chosen and the marked one is not among theirs: the first of theirs that has
    times, else of ours.
    """
    marked = [each for each in implementations if each.reference]
    if not marked and not against:
        marked = [implementations[0]]
    return [
        each.name for each in marked or sorted(implementations, key=lambda each: not each.baseline)
    ]


def _find_lower_bounds(report: BenchmarkReport, implementations: Sequence[Implementation]) -> None:
    """Enter the times in units of the lower bound, which may be an implementation's own time."""
    times = {each.name: each.seconds.median for each in report.measurements if each.seconds}
    for implementation in implementations:
        if implementation.lower_bound and (seconds := times.get(implementation.name)):
            report.lower_bound = LowerBound(seconds, {implementation.name: seconds})
    if report.lower_bound and report.lower_bound.seconds:
        for each in report.measurements:
            if each.seconds:
                each.times_lower_bound = each.seconds.median / report.lower_bound.seconds


def _prepare(
    report: BenchmarkReport,
    work: Work,
    implementations: Sequence[Implementation],
    progress: Callable[[str], None],
) -> dict[str, Call]:
    """The calls that can be timed, by name; each implementation gets a measurement."""
    torch.compiler.reset()  # or the sizes that ran before count towards dynamo's limit
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
    report.reference = next((each for each in references if times.get(each)), references[0])
    reference = times.get(report.reference)
    for each in report.measurements:
        if each.name in failed:
            each.outcome, each.reason = "failed", failed[each.name]
        if seconds := times.get(each.name):
            each.seconds = Spread.of(seconds)
            each.ratio = median_ratio(seconds, reference) if reference else None
    baselines = [each for each in report.measurements if each.baseline and each.seconds]
    if baselines:
        report.best = min(baselines, key=_median).name
        for each in report.measurements:
            if seconds := times.get(each.name):
                each.best_ratio = median_ratio(seconds, times[report.best])


def _median(measurement: Measurement) -> float:
    assert measurement.seconds is not None
    return measurement.seconds.median


@contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Global generators seeded, and put back afterwards."""
    accelerated = device.type != "cpu"
    devices = [device] if accelerated else []
    kind = device.type if accelerated else "cuda"
    with torch.random.fork_rng(devices=devices, device_type=kind):
        torch.manual_seed(seed)
        yield
