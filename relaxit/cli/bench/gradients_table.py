"""Print the results of a gradient problem as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.cli.tables import print_notes, print_table

if TYPE_CHECKING:
    from relaxit.gradients import EstimatorMeasurement, GradientReport

__all__ = ["print_report", "short"]

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
        f"<{short(m.noise_level)}" if m.bias < m.noise_level else short(m.bias),
        short(m.variance),
        short(m.mse),
        f"{m.cosine_of_mean:.3f}",
        f"{m.cosine:.2f}",
        costs,
        _EVIDENCE[result.evidence],
    ]


def short(value: float) -> str:
    """Format with two digits; a value that is zero up to rounding is 0."""
    if abs(value) < 1e-9:
        return "0"
    if 1e-3 <= value < 1e3:
        return f"{value:.2g}" if value < 100 else f"{value:.0f}"
    return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
