"""Run gradient problems and the times of estimators, print them, and keep the results."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from relaxit.cli.bench.gradients_table import print_report
from relaxit.cli.bench.gradients_time import measure_times, print_times, title_of
from relaxit.cli.bench.table import print_setting
from relaxit.cli.output import console, tell
from relaxit.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from relaxit.bench import Benchmark, BenchmarkReport
    from relaxit.estimators import Estimator
    from relaxit.gradients import GradientProblem, GradientReport, Surroundings

__all__ = ["GradientResults", "GradientWork", "run_gradient_work"]


@dataclass(frozen=True)
class GradientWork:
    """What a command measures.

    Attributes:
        problems: gradient problems, for bias and variance.
        times: benchmarks of estimators, for times: the runs of each, which share a table.
        estimators: the estimators by name; None for all.
        seconds: time budget of each run in ``times``.
        quiet: whether nothing but progress is printed.
    """

    problems: Sequence[GradientProblem]
    times: Sequence[Sequence[Benchmark]]
    estimators: Mapping[str, type[Estimator]] | None
    seconds: float
    quiet: bool


@dataclass
class GradientResults:
    """The results of a command, in the order in which they were measured."""

    reports: list[GradientReport] = field(default_factory=list)
    times: list[BenchmarkReport] = field(default_factory=list)

    @property
    def broken(self) -> bool:
        """Whether a problem, a benchmark or an estimator failed."""
        return any(report.broken for report in self.reports) or any(
            bool(report.reason) or any(row.outcome == "failed" for row in report.measurements)
            for report in self.times
        )

    def require_any(self) -> None:
        """Reject a command that measured nothing, although nothing failed.

        Raises:
            DataError: if data are missing.
            ConfigurationError: otherwise.
        """
        measured = any(report.measured for report in self.times)
        if self.broken or measured or not all(report.reason for report in self.reports):
            return
        reasons = [f"{report.problem.name}: {report.reason}" for report in self.reports]
        reasons += [excuse for report in self.times for excuse in report.excuses]
        codes = {report.code for report in self.reports}
        kind = DataError if codes == {DataError.exit_code} else ConfigurationError
        raise kind("; ".join(dict.fromkeys(reasons)))


def run_gradient_work(
    work: GradientWork, around: Surroundings
) -> tuple[GradientResults, dict[str, Any]]:
    """Measure and print everything in turn; return the results and the JSON document.

    Raises:
        Abort: at Ctrl-C.
    """
    from relaxit.bench.measuring import setting

    facts = setting(around.device)
    if not work.quiet:
        print_setting(facts)
    found = GradientResults()
    try:
        screen = console()
        with screen.status("") as status:
            progress = _Progress(screen, status)
            _run_problems(work, dataclasses.replace(around, progress=progress.show), found)
            _run_times(work, around, found, progress)
    except KeyboardInterrupt as error:  # typer would exit without a message
        raise typer.Abort from error
    return found, {
        **facts,
        "settings": around.settings.model_dump(mode="json"),
        "problems": [report.to_json() for report in found.reports],
        "times": [report.to_json() for report in found.times],
    }


@dataclass(frozen=True)
class _Progress:
    """Shows what is running: in place on a terminal, else as lines on stderr, without details."""

    screen: Console
    status: Status

    def show(self, text: str) -> None:
        if self.screen.is_terminal:
            self.status.update(text)
        else:
            tell(text)

    def detail(self, text: str) -> None:
        if self.screen.is_terminal:
            self.status.update(text)


def _run_problems(work: GradientWork, around: Surroundings, found: GradientResults) -> None:
    from relaxit.gradients import measure_problem
    from relaxit.plugins import default_registry

    estimators = work.estimators
    if estimators is None:
        estimators = default_registry().items("estimator")
    for problem in work.problems:
        reports = measure_problem(problem, estimators, around)
        while True:
            with contextlib.redirect_stdout(sys.stderr):  # output of plugins, for --json
                report = next(reports, None)
            if report is None:
                break
            found.reports.append(report)
            alone = len(work.problems) == len(found.reports) == 1 and not work.times
            if work.quiet:
                if report.failed:
                    tell(f"{report.problem.name}: failed: {report.reason}")
            elif report.failed or not (report.reason and alone):  # else it is the error message
                print_report(report)


def _run_times(
    work: GradientWork,
    around: Surroundings,
    found: GradientResults,
    progress: _Progress,
) -> None:
    names, seed = None, around.settings.seed
    if work.estimators is not None:  # they may have been named by an alias
        names = {name for key, cls in work.estimators.items() for name in (key, cls.name)}
    for runs in work.times:
        reports = []
        for run in runs:
            progress.show(title_of(run))
            with contextlib.redirect_stdout(sys.stderr):  # output of plugins, for --json
                reports.append(
                    measure_times(run, names, around.device, work.seconds, seed, progress.detail)
                )
        found.times += reports
        if not work.quiet:
            print_times(reports)
