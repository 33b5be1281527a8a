"""The figures of a benchmark as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relaxit.cli.output import print_table

if TYPE_CHECKING:
    from relaxit.bench import Measurement, Report

__all__ = ["print_report", "print_setting"]

_COLUMNS = ["contender", "ms", "quartiles", "ratio", "MiB", "inputs", "error", "relative"]
_OFTEN_EMPTY = {"inputs", "error", "relative"}


def print_setting(facts: Mapping[str, Any]) -> None:
    """One line: what the figures were measured on, and when."""
    print(
        f"device {facts['device']} ({facts['device_name']}), {facts['threads']} CPU threads on "
        f"{facts['cores']} cores (load {facts['load']}), torch {facts['torch']}, {facts['date']}"
    )


def print_report(report: Report) -> None:
    """A table of one benchmark, one row a contender, and the notes below it."""
    benchmark = report.benchmark
    sizes = ", ".join(f"{key} {value}" for key, value in benchmark.options)
    title = f"{benchmark.name}: {benchmark.summary}" + (f" ({sizes})" if sizes else "")
    if report.reason:
        print(f"{title}\n  failed: {report.reason}")
        return
    rows = [_row(report, each) for each in report.measurements]
    kept = [
        number
        for number, column in enumerate(_COLUMNS)
        if column not in _OFTEN_EMPTY or any(row[number] != "-" for row in rows)
    ]
    print_table(title, [_COLUMNS[n] for n in kept], [[row[n] for n in kept] for row in rows])
    print(f"  {report.rounds} rounds; ratios to {report.reference}")
    if benchmark.error_is:
        print(f"  error: {benchmark.error_is}")
    for each in report.measurements:
        if note := _note(each):
            print(f"  {each.name}: {note}")


def _row(report: Report, each: Measurement) -> list[str]:
    seconds, error, inputs = each.seconds, each.error, report.in_inputs(each)
    return [
        each.name,
        _ms(seconds.median) if seconds else each.outcome,
        f"{_ms(seconds.lower)} {_ms(seconds.upper)}" if seconds else "-",
        "-" if each.ratio is None else f"{each.ratio:.2f}",
        "-" if each.memory_bytes is None else f"{each.memory_bytes / 2**20:.3g}",
        "-" if inputs is None else f"{inputs:.3g}",
        "-" if error is None else f"{error.absolute:.1e}",
        "-" if error is None or error.relative is None else f"{error.relative:.1e}",
    ]


def _note(each: Measurement) -> str:
    parts = [each.note]
    if each.outcome != "done":
        parts.append(f"{each.outcome}: {each.reason}")
    elif each.compiled and each.first_seconds is not None:
        parts.append(f"first call {each.first_seconds:.1f} s")
    if each.error and each.error.not_finite:
        parts.append(f"{each.error.not_finite} entries of the result are not finite")
    return "; ".join(filter(None, parts))


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}"
