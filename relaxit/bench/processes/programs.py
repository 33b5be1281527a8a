"""Whole programs, timed from Enter to their end, in turn, round after round."""

from __future__ import annotations

import dataclasses
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from relaxit.bench.rounds import Interrupted, Spread, median_ratio, run_rounds
from relaxit.bench.run import Stopped
from relaxit.errors import RelaxitError

__all__ = ["RELAXIT", "Program", "ProgramReport", "Row", "Run", "run_program", "time_programs"]

RELAXIT = (sys.executable, "-c", "from _relaxit_cli import main; main()")
"""The command of the console script."""


@dataclass(frozen=True)
class Program:
    """A command line.

    Attributes:
        name: name in the table.
        command: words of the command line, the first of which is a program.
        note: a few words about it.
        reference: whether the others' times are divided by its own.
        marks: parts that have a time of their own, from Enter to the first line with a certain
            beginning: names of the parts, and beginnings of lines.
    """

    name: str
    command: tuple[str, ...]
    note: str = ""
    reference: bool = False
    marks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """The time of one run of a program.

    Attributes:
        seconds: seconds from Enter to its end.
        parts: seconds from Enter to each of its marks that was seen.
    """

    seconds: float
    parts: Mapping[str, float] = field(default_factory=dict)


class ProgramFailed(RelaxitError):
    """Raised if a program exits with a code other than 0."""


@dataclass
class Row:
    """The results of a program: like :class:`relaxit.bench.Measurement`, with its parts."""

    name: str
    note: str
    outcome: Literal["done", "failed"] = "done"
    reason: str = ""
    seconds: Spread | None = None
    ratio: float | None = None
    parts: dict[str, Spread] = field(default_factory=dict)


@dataclass
class ProgramReport:
    """The results of several programs.

    Attributes:
        name, summary: name and one-line description of the benchmark.
        reference: name of the program to whose times the ratios are; empty without one.
        rounds: number of rounds that were run.
        rows: results, one per program.
    """

    name: str
    summary: str
    reference: str
    rounds: int = 0
    rows: list[Row] = field(default_factory=list)

    @property
    def measured(self) -> bool:
        """Whether any program has times."""
        return any(row.seconds for row in self.rows)

    @property
    def broken(self) -> bool:
        """Whether no program has times and something failed."""
        return not self.measured and any(row.outcome == "failed" for row in self.rows)

    @property
    def excuses(self) -> list[str]:
        """Reasons why programs have no times."""
        return [f"{row.name}: {row.reason}" for row in self.rows if row.reason]

    def to_json(self) -> dict[str, Any]:
        """Return the report as values that JSON has, times in seconds."""
        return dataclasses.asdict(self)


def run_program(program: Program, directory: Path, threads: int | None = None) -> Run:
    """Run a program, and record when it printed its marks.

    Args:
        program: program to run.
        directory: working directory.
        threads: number of CPU threads of PyTorch; its own choice if None.

    Raises:
        ProgramFailed: with its last line, if it does not exit with 0.

    Example:
        >>> greet = Program("greet", (sys.executable, "-c", "print('hello')"), marks={"said": "he"})
        >>> run = run_program(greet, Path("."))
        >>> 0 < run.parts["said"] <= run.seconds
        True
    """
    parts: dict[str, float] = {}
    last = ""
    variables = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    began = time.perf_counter()
    process = subprocess.Popen(
        program.command,
        cwd=directory,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            now = time.perf_counter() - began
            last = line.strip() or last
            for part, beginning in program.marks.items():
                if part not in parts and line.startswith(beginning):
                    parts[part] = now
        code = process.wait()
        seconds = time.perf_counter() - began
    finally:
        process.kill()  # at Ctrl-C; does nothing to a program that has ended
        process.wait()
    if code:
        raise ProgramFailed(f"exit code {code}: {last}")
    return Run(seconds, parts)


def time_programs(
    name: str,
    summary: str,
    programs: Sequence[Program],
    runner: Callable[[Program], Run],
    *,
    rounds: int,
    progress: Callable[[str], None] = lambda text: None,
) -> ProgramReport:
    """Run all programs, each once per round.

    Args:
        name, summary: name and one-line description for the report.
        programs: programs to run, at least one.
        runner: runs one program.
        rounds: number of rounds.
        progress: called with the name of each program that is run.

    Raises:
        Stopped: at Ctrl-C, with the report of the complete rounds.
    """
    runs: dict[str, list[Run]] = {program.name: [] for program in programs}

    def call_of(program: Program) -> Callable[[], float]:
        def call() -> float:
            progress(program.name)
            runs[program.name].append(runner(program))
            return runs[program.name][-1].seconds

        return call

    calls = {program.name: call_of(program) for program in programs}
    reference = next((program.name for program in programs if program.reference), "")
    report = ProgramReport(name, summary, reference)
    try:
        times, failed = run_rounds(calls, lambda call: call(), rounds, math.inf)
    except Interrupted as stop:
        _enter(report, programs, stop.times, stop.failed, runs)
        raise Stopped(report) from stop
    _enter(report, programs, times, failed, runs)
    return report


def _enter(
    report: ProgramReport,
    programs: Sequence[Program],
    times: Mapping[str, list[float]],
    failed: Mapping[str, str],
    runs: Mapping[str, list[Run]],
) -> None:
    """Enter the results into the report."""
    report.rounds = max(map(len, times.values()), default=0)
    reference = times.get(report.reference)
    for program in programs:
        row = Row(program.name, program.note)
        report.rows.append(row)
        if program.name in failed:
            row.outcome, row.reason = "failed", failed[program.name]
        if not (measured := times.get(program.name)):
            continue
        done = runs[program.name][: len(measured)]
        row.seconds = Spread.of(measured)
        row.ratio = median_ratio(measured, reference) if reference else None
        for part in program.marks:
            if seconds := [run.parts[part] for run in done if part in run.parts]:
                row.parts[part] = Spread.of(seconds)
