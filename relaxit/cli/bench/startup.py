"""``relaxit bench startup``, and the table of whole programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from relaxit.cli.bench.options import Device, Json, Only, Out, Threads
from relaxit.cli.bench.session import Session, settings_of
from relaxit.cli.tables import print_notes, print_table
from relaxit.errors import UnknownName

if TYPE_CHECKING:
    import torch

    from relaxit.bench import Rates, Spread
    from relaxit.bench.processes import ProgramReport

__all__ = ["print_programs", "startup"]


def startup(
    device: Device = "auto",
    threads: Threads = None,
    rounds: Annotated[int, typer.Option(help="Maximum number of rounds.")] = 5,
    seconds: Annotated[
        float, typer.Option(help="Time budget in seconds; at least three rounds are run.")
    ] = 300.0,
    only: Only = None,
    json: Json = False,
    out: Out = None,
) -> None:
    """Time imports, listings and one epoch on digits, each as a process of its own.

    Times are seconds from Enter. Each program is run once before the rounds, so that its files are
    in memory.
    """
    settings = settings_of(rounds=rounds, seconds=seconds, only=frozenset(only or ()))
    session = Session(print_programs, device, threads, json, out, settings.model_dump(mode="json"))

    def work(there: torch.device, rates: Rates | None) -> Iterator[ProgramReport]:
        import tempfile
        from pathlib import Path

        from relaxit.bench.processes import (
            REFERENCE,
            ProgramReport,
            run_program,
            startup_programs,
            time_programs,
        )

        programs = startup_programs(str(there))
        known = [program.name for program in programs]
        for name in sorted(settings.only - set(known)):
            raise UnknownName("program", name, known)
        with tempfile.TemporaryDirectory(prefix="relaxit-startup-") as directory:
            yield time_programs(
                ProgramReport("startup", "seconds from Enter to the end of a program", REFERENCE),
                [p for p in programs if not settings.only or p.name in settings.only],
                lambda program: run_program(program, Path(directory), session.threads),
                rounds=settings.rounds,
                seconds=settings.seconds,
                progress=session.progress,
            )

    session.run(work)


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
    print_notes(f"{report.rounds} rounds; ratios to {report.reference}")
    for row in report.rows:
        failed = f"failed: {row.reason}" if row.outcome == "failed" else ""
        if note := "; ".join(filter(None, [row.note, failed])):
            print_notes(f"{row.name}: {note}")


def _seconds(spread: Spread) -> list[str]:
    return [f"{spread.median:.2f}", f"{spread.lower:.2f} {spread.upper:.2f}"]
