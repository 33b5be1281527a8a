"""The times of estimators for ``relaxit bench gradients``: one column per structure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from relaxit.cli.bench.gradients_table import short
from relaxit.cli.tables import print_notes, print_table

if TYPE_CHECKING:
    import torch

    from relaxit.bench import Benchmark, BenchmarkReport, Measurement

__all__ = ["GROUP", "measure_times", "print_times", "runs_of", "title_of"]

GROUP = "gradients"
"""Group of the benchmarks whose implementations are estimators."""


def runs_of(
    kind: type[Benchmark], relaxation: str | None, texts: Sequence[str], options: dict[str, Any]
) -> list[Benchmark]:
    """Return the runs of a benchmark: one per preset, or a single one of the given relaxation.

    Args:
        kind: the benchmark.
        relaxation: name of the relaxation; None for the presets.
        texts: options of the relaxation, each ``KEY=VALUE``.
        options: further options of the benchmark.
    """
    presets = kind.presets
    if relaxation is not None:
        presets = ({"relaxation": relaxation, "relaxation_options": tuple(texts)},)
    return [kind(**{**preset, **options}) for preset in presets]


def measure_times(
    benchmark: Benchmark,
    estimators: Collection[str] | None,
    device: torch.device,
    seconds: float,
    seed: int,
    progress: Callable[[str], None],
) -> BenchmarkReport:
    """Time the named estimators of a benchmark, and its reference; all if None.

    In each round, short calls are repeated for 20 ms, and the median is taken.
    """
    from relaxit.bench import BenchmarkSettings, implementations_of, run_benchmark
    from relaxit.bench.measuring import repeating_timer_for

    only: frozenset[str] = frozenset()
    if estimators is not None:
        only = frozenset(
            each.name
            for each in implementations_of(benchmark, device)
            if each.reference or each.name.removesuffix(" (warm)") in estimators
        )
    return run_benchmark(
        benchmark,
        device,
        BenchmarkSettings(seconds=seconds, seed=seed, only=only),
        timer=repeating_timer_for(device),
        progress=lambda text: progress(f"{title_of(benchmark)}: {text}"),
    )


def title_of(benchmark: Benchmark) -> str:
    """Return the name of a run: its benchmark, structure and options of the structure."""
    return f"{benchmark.name}, {' '.join(_words(benchmark))}"


def print_times(reports: Sequence[BenchmarkReport]) -> None:
    """Print the ratios of the runs of one benchmark as one table, with the reasons below it."""
    benchmark = reports[0].benchmark
    done = [report for report in reports if report.measured]
    if done:
        found = [{row.name: row for row in report.measurements} for report in done]
        names = sorted(dict.fromkeys(name for rows in found for name in rows), key=_by_ratio(found))
        rows = [[name, *(_cell(rows.get(name)) for rows in found)] for name in names]
        heads = ["estimator", *(" ".join(_words(report.benchmark)) for report in done)]
        print_table(f"{benchmark.name}: {benchmark.summary}", heads, rows)
    for report in reports:
        print_notes(f"{' '.join(_words(report.benchmark))}: {_facts(report)}")
    for reason in dict.fromkeys(reason for report in reports for reason in _reasons(report)):
        print_notes(reason)


def _by_ratio(found: Sequence[dict[str, Measurement]]) -> Callable[[str], tuple[bool, float, str]]:
    """Return a key that sorts names by their first ratio, those without any last."""

    def key(name: str) -> tuple[bool, float, str]:
        ratios = [rows[name].ratio for rows in found if name in rows]
        first = next((ratio for ratio in ratios if ratio is not None), None)
        return first is None, first or 0.0, name

    return key


def _cell(row: Measurement | None) -> str:
    if row is None or row.ratio is None:
        return "failed" if row and row.outcome == "failed" else "-"
    return f"{row.ratio:.1f}" if row.ratio < 10 else short(row.ratio)


def _words(benchmark: Benchmark) -> list[str]:
    """Return what tells a run from the others: the structure and its options."""
    options = benchmark.options
    words = [getattr(options, "relaxation", benchmark.name)]
    words += getattr(options, "relaxation_options", ())
    variables = getattr(options, "variables", 1)
    return [*words, f"{variables} variables"] if variables > 1 else words


def _facts(report: BenchmarkReport) -> str:
    """Return the time of the reference and the numbers behind it, or why there is none."""
    if report.reason:
        return f"failed: {report.reason}"
    times = {row.name: row.seconds for row in report.measurements}
    seconds = times.get(report.reference)
    if seconds is None:
        return f"no time of {report.reference}"
    rounds = f"{report.rounds} round{'s' if report.rounds > 1 else ''}"
    return f"{report.reference} {seconds.median * 1e3:.3g} ms, median of {rounds}"


def _reasons(report: BenchmarkReport) -> list[str]:
    words = {"skipped": "not supported", "failed": "failed"}
    return [
        f"{row.name}: {words[row.outcome]}: {row.reason}"
        for row in report.measurements
        if row.outcome != "done"
    ]
