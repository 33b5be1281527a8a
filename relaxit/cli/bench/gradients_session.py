"""Run gradient problems and the times of estimators, print them, and keep the results."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaxit.cli.bench.gradients_table import print_report, print_times, title_of
from relaxit.cli.output import tell
from relaxit.cli.session import Session
from relaxit.errors import ConfigurationError, DataError, PluginError

if TYPE_CHECKING:
    import torch

    from relaxit.bench import Benchmark, BenchmarkReport
    from relaxit.estimators import Estimator
    from relaxit.gradients import GradientProblem, GradientReport, GradientSettings
    from relaxit.relaxation import Relaxation

__all__ = ["GradientSession"]


@dataclass(kw_only=True)
class GradientSession(Session["GradientReport | BenchmarkReport"]):
    """Measures bias and variance of estimators first, then their times.

    Attributes:
        settings: settings of bias and variance; the seed is also that of the times.
        problems: gradient problems, for bias and variance.
        times: benchmarks of estimators, for times: runs of the same one share a table.
        estimators: the estimators by name; None for all.
        seconds: time budget of each run in ``times``.
        relaxation, dataset, data_dir: used instead of the problems' own; None for these.
        plot: file for a plot of bias and variance; None for no plot.
    """

    settings: GradientSettings
    problems: Sequence[GradientProblem]
    times: Sequence[Benchmark]
    estimators: Mapping[str, type[Estimator]] | None
    seconds: float
    relaxation: Relaxation | None
    dataset: str | None
    data_dir: Path | None
    plot: Path | None

    def results(self, device: torch.device) -> Iterator[GradientReport | BenchmarkReport]:
        from relaxit.gradients import Surroundings, measure_problem
        from relaxit.plugins import default_registry

        around = Surroundings(
            device, self.settings, self.relaxation, self.dataset, self.data_dir, self.step
        )
        estimators = self.estimators or default_registry().items("estimator")
        for problem in self.problems:
            yield from measure_problem(problem, estimators, around)
        for run in self.times:
            self.step(title_of(run))
            yield self._time(run, device)

    def _time(self, run: Benchmark, device: torch.device) -> BenchmarkReport:
        """Time the estimators of a benchmark, and its reference.

        In each round, short calls are repeated for 20 ms, and the median is taken.
        """
        from relaxit.bench import BenchmarkSettings, implementations_of, run_benchmark
        from relaxit.bench.measuring import repeating_timer_for

        only: frozenset[str] = frozenset()
        if self.estimators:  # they may have been named by an alias
            names = {name for key, cls in self.estimators.items() for name in (key, cls.name)}
            only = frozenset(
                each.name
                for each in implementations_of(run, device)
                if each.reference or each.name.removesuffix(" (warm)") in names
            )
        return run_benchmark(
            run,
            device,
            BenchmarkSettings(seconds=self.seconds, seed=self.settings.seed, only=only),
            timer=repeating_timer_for(device),
            progress=lambda text: self.progress(f"{title_of(run)}: {text}"),
        )

    @property
    def reports(self) -> list[GradientReport]:
        """Reports of gradient problems."""
        from relaxit.gradients import GradientReport

        return [report for report in self.done if isinstance(report, GradientReport)]

    @property
    def timed(self) -> list[BenchmarkReport]:
        """Reports of times."""
        from relaxit.bench import BenchmarkReport

        return [report for report in self.done if isinstance(report, BenchmarkReport)]

    def show(self, result: GradientReport | BenchmarkReport) -> None:
        if result not in self.reports:
            return  # the runs of one benchmark share a table
        report = self.reports[-1]
        alone = len(self.problems) == len(self.done) == 1 and not self.times
        if self.json:
            if report.failed:
                tell(f"{report.problem.name}: failed: {report.reason}")
        elif report.failed or not (report.reason and alone):  # else it is the error message
            print_report(report)

    def conclude(self) -> None:
        if not self.json:
            for _, runs in itertools.groupby(self.timed, lambda report: type(report.benchmark)):
                print_times(list(runs))

    def document(self) -> dict[str, Any]:
        return {
            **self.facts,
            "settings": self.settings.model_dump(mode="json"),
            "stopped": self.stopped,
            "problems": [report.to_json() for report in self.reports],
            "times": [report.to_json() for report in self.timed],
        }

    def deliver(self) -> None:
        super().deliver()
        if self.plot and any(not report.reason for report in self.reports):
            from relaxit.gradients import draw_bias_and_variance

            draw_bias_and_variance(self.reports, self.plot)

    def judge(self) -> int:
        reports, timed = self.reports, self.timed
        if any(report.broken for report in reports) or any(
            report.reason or any(row.outcome == "failed" for row in report.measurements)
            for report in timed
        ):
            return PluginError.exit_code
        if all(report.reason for report in reports) and not any(r.measured for r in timed):
            reasons = [f"{report.problem.name}: {report.reason}" for report in reports]
            reasons += [excuse for report in timed for excuse in report.excuses]
            codes = {report.code for report in reports}
            kind = DataError if codes == {DataError.exit_code} else ConfigurationError
            raise kind("; ".join(dict.fromkeys(reasons)))
        return 0
