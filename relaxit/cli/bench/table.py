"""Print the results of a benchmark as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaxit.cli.tables import print_notes, print_table

if TYPE_CHECKING:
    from relaxit.bench import BenchmarkReport, LowerBound, Measurement, Rates, Spread
    from relaxit.bench.processes import ProgramReport

__all__ = ["Unit", "print_programs", "print_rates", "print_report"]

_OFTEN_EMPTY = {"to best", "bounds", "MiB", "error", "relative"}


@dataclass(frozen=True)
class Unit:
    """The unit in which times are shown.

    Attributes:
        name: name of the unit, the heading of the column.
        factor: number of units per second of a call.
    """

    name: str = "ms"
    factor: float = 1e3

    def text(self, seconds: float) -> str:
        """Format a time with three digits.

        Example:
            >>> Unit().text(0.0123456)
            '12.3'
        """
        return _three_digits(seconds * self.factor)


def _three_digits(value: float) -> str:
    """Format with three digits, and without an exponent below a million."""
    return f"{float(f'{value:.3g}'):g}"


def print_rates(rates: Rates) -> None:
    """Print one line: the rates from which lower bounds are computed."""
    copies = ", ".join(
        f"{rate / 1e9:.3g} GB/s ({size / 2**20:.0f} MiB)" for size, rate in rates.copies
    )
    launches = f", {rates.launches / 1e3:.3g} thousand launches/s" if rates.launches else ""
    print_notes(
        f"rates for lower bounds: copies {copies}; {rates.random_numbers / 1e6:.3g} million random "
        f"numbers/s; float32 matmuls {rates.flops / 1e9:.3g} Gflop/s{launches}",
        indent=0,
    )


def print_report(report: BenchmarkReport, unit: Unit = Unit()) -> None:
    """Print a table of one benchmark, one row per implementation, with the notes below it."""
    benchmark = report.benchmark
    fields = type(benchmark.options).model_fields
    sizes = ", ".join(f"{key} {value}" for key, value in benchmark.options if fields[key].repr)
    title = f"{benchmark.name}: {benchmark.summary}" + (f" ({sizes})" if sizes else "")
    if report.reason:
        print_notes(title, indent=0)
        print_notes(f"failed: {report.reason}")
        return
    rows = [_row(m, unit) for m in report.measurements]
    columns = [
        column
        for column in rows[0]
        if column not in _OFTEN_EMPTY or any(row[column] != "-" for row in rows)
    ]
    print_table(title, columns, [[row[column] for column in columns] for row in rows])
    best = f", the best baseline is {report.best}" if report.best else ""
    notes = [f"{report.rounds} rounds; ratios to {report.reference}{best}"]
    if report.input_bytes:
        notes.append(f"inputs {report.input_bytes / 2**20:.3g} MiB")
    if report.lower_bound:
        notes.append(_lower_bound(report.lower_bound, unit))
    if benchmark.error_is:
        notes.append(f"error: {benchmark.error_is}")
    notes += [f"{m.name}: {note}" for m in report.measurements if (note := _note(m))]
    print_notes(*notes)


def _row(m: Measurement, unit: Unit) -> dict[str, str]:
    seconds, error = m.seconds, m.error
    return {
        "implementation": m.name,
        unit.name: unit.text(seconds.median) if seconds else m.outcome,
        "quartiles": f"{unit.text(seconds.lower)} {unit.text(seconds.upper)}" if seconds else "-",
        "ratio": "-" if m.ratio is None else f"{m.ratio:.2f}",
        "to best": "-" if m.best_ratio is None else f"{m.best_ratio:.2f}",
        "bounds": "-" if m.times_lower_bound is None else _three_digits(m.times_lower_bound),
        "MiB": "-" if m.memory_bytes is None else f"{m.memory_bytes / 2**20:.3g}",
        "error": "-" if error is None else f"{error.absolute:.1e}",
        "relative": "-" if error is None or error.relative is None else f"{error.relative:.1e}",
    }


def _lower_bound(lower_bound: LowerBound, unit: Unit) -> str:
    """Return the lower bound and its parts, the longest first."""
    parts = sorted(lower_bound.parts.items(), key=lambda part: -part[1])
    listed = ", ".join(f"{name} {unit.text(seconds)}" for name, seconds in parts)
    return f"lower bound {unit.text(lower_bound.seconds)} {unit.name}: {listed}"


def _note(m: Measurement) -> str:
    parts = [m.note]
    if m.outcome != "done":
        parts.append(f"{m.outcome}: {m.reason}")
    elif m.compiled and m.first_seconds is not None:
        parts.append(f"first call {m.first_seconds:.1f} s")
    if m.error and m.error.not_finite:
        parts.append(f"{m.error.not_finite} entries of the result are not finite")
    return "; ".join(filter(None, parts))


def print_programs(report: ProgramReport) -> None:
    """Print a table of programs, one row per program and one per part of it."""
    rows = []
    for row in report.rows:
        if row.seconds is None:
            rows.append([row.name, row.outcome, "-", "-"])
            continue
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
        rows.append([row.name, *_seconds(row.seconds), ratio])
        rows += [[f"  to {part}", *_seconds(spread), ""] for part, spread in row.parts.items()]
    title = f"{report.name}: {report.summary}"
    print_table(title, ["program", "s", "quartiles", "ratio"], rows)
    of = f"; ratios to {report.reference}" if report.reference else ""
    print_notes(f"{report.rounds} rounds{of}")
    for row in report.rows:
        failed = f"failed: {row.reason}" if row.outcome == "failed" else ""
        if note := "; ".join(filter(None, [row.note, failed])):
            print_notes(f"{row.name}: {note}")


def _seconds(spread: Spread) -> list[str]:
    return [f"{spread.median:.2f}", f"{spread.lower:.2f} {spread.upper:.2f}"]
