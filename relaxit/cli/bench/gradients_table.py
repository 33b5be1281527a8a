"""Tables of ``relaxit bench gradients``: a gradient problem, and the times of estimators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from relaxit.cli.tables import print_notes, print_table

if TYPE_CHECKING:
    from relaxit.bench import Benchmark, BenchmarkReport, Measurement
    from relaxit.gradients import EstimatorMeasurement, GradientReport

__all__ = ["print_report", "print_times", "title_of"]

_COLUMNS = ["estimator", "tau", "bias", "var", "error", "cos mean", "cos", "costs", "from"]
_EVIDENCE = {"exact": "all", "strata": "each", "draws": "draws"}


def print_report(report: GradientReport) -> None:
    """Print a table of one case, one row per estimator and temperature, with notes below it."""
    if report.reason:
        word = "failed" if report.failed else "not supported"
        print_notes(f"{report.problem.name}: {word}: {report.reason}", indent=0)
        return
    rows = [_row(measurement) for measurement in report.measurements if measurement.result]
    several = len({row[1] for row in rows} - {"-"}) > 1
    shown = [number for number, name in enumerate(_COLUMNS) if several or name != "tau"]
    title, columns = report.title, [_COLUMNS[n] for n in shown]
    print_table(title, columns, [[row[n] for n in shown] for row in rows])
    print_notes(_facts(report))
    for measurement in report.measurements:
        if measurement.outcome != "done":
            at = "" if measurement.temperature is None else f" at {measurement.temperature:g}"
            word = "failed" if measurement.outcome == "failed" else "not supported"
            print_notes(f"{measurement.label}{at}: {word}: {measurement.reason}")


def _facts(report: GradientReport) -> str:
    plural = "s" if report.variables > 1 else ""
    count = f"{report.variables} variable{plural} of {report.relaxation!r}"
    points = f"{report.points} points" if report.points > 1 else "1 point"
    by = f"{report.states} joint values" if report.states else "a closed form"
    return f"{count}, {points}; |exact gradient| {report.gradient_norm:.4g}, by {by}"


def _row(measurement: EstimatorMeasurement) -> list[str]:
    assert measurement.result is not None
    result, m = measurement.result, measurement.result.measures
    costs = f"{result.evaluations:g}"
    if measurement.stated is not None and measurement.stated != result.evaluations:
        costs += f" (says {measurement.stated})"
    return [
        measurement.label,
        "-" if measurement.temperature is None else f"{measurement.temperature:g}",
        f"<{_short(m.noise_level)}" if m.bias < m.noise_level else _short(m.bias),
        _short(m.variance),
        _short(m.mse),
        f"{m.cosine_of_mean:.3f}",
        f"{m.cosine:.2f}",
        costs,
        _EVIDENCE[result.evidence],
    ]


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
        print_notes(f"{' '.join(_words(report.benchmark))}: {_reference(report)}")
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
    return f"{row.ratio:.1f}" if row.ratio < 10 else _short(row.ratio)


def _words(benchmark: Benchmark) -> list[str]:
    """Return what tells a run from the others: the structure and its options."""
    options = benchmark.options
    words = [getattr(options, "relaxation", benchmark.name)]
    words += getattr(options, "relaxation_options", ())
    variables = getattr(options, "variables", 1)
    return [*words, f"{variables} variables"] if variables > 1 else words


def _reference(report: BenchmarkReport) -> str:
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


def _short(value: float) -> str:
    """Format with two digits; a value that is zero up to rounding is 0."""
    if abs(value) < 1e-9:
        return "0"
    if 1e-3 <= value < 1e3:
        return f"{value:.2g}" if value < 100 else f"{value:.0f}"
    return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
