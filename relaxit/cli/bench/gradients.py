"""``relaxit bench gradients``: bias and variance of estimators against the exact gradient."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relaxit.cli.bench.gradients_table import print_report
from relaxit.cli.bench.table import print_setting
from relaxit.cli.flags import key_values
from relaxit.cli.output import console, tell
from relaxit.cli.output_file import require_writable
from relaxit.cli.plugin_option import PluginFiles
from relaxit.errors import ConfigurationError, DataError, PluginError
from relaxit.json_text import json_text

if TYPE_CHECKING:
    from relaxit.estimators import Estimator
    from relaxit.gradients import GradientProblem, GradientReport, GradientSettings, Surroundings
    from relaxit.relaxation import Relaxation

__all__ = ["gradients"]


def gradients(
    names: Annotated[
        list[str] | None, typer.Argument(help="Gradient problems; all if none.")
    ] = None,
    relaxation: Annotated[
        str | None, typer.Option(help="Relaxation to use in place of the problems' own.")
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("-o", "--option", help="Option KEY=VALUE of --relaxation; may be repeated."),
    ] = None,
    problem_options: Annotated[
        list[str] | None,
        typer.Option(
            "--problem-option", help="Option KEY=VALUE of every problem run; may be repeated."
        ),
    ] = None,
    estimators: Annotated[
        str | None, typer.Option(help="Estimators, separated by commas; all if absent.")
    ] = None,
    temperature: Annotated[
        list[float] | None,
        typer.Option(help="Temperature of the relaxed distribution; may be repeated. 1 if absent."),
    ] = None,
    states: Annotated[
        int, typer.Option(help="Largest number of joint values to enumerate.")
    ] = 4096,
    draws: Annotated[
        int, typer.Option(help="Number of estimates, where they cannot all be enumerated.")
    ] = 1024,
    warm_up: Annotated[
        int, typer.Option(help="Steps before an estimator that keeps a state is measured.")
    ] = 500,
    seed: Annotated[int, typer.Option(help="Seed of problems and draws.")] = 0,
    device: Annotated[str, typer.Option(help="Device: auto, cpu, cuda, cuda:N or mps.")] = "auto",
    dataset: Annotated[str | None, typer.Option(help="Data set, for problems with images.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Directory of the data files.")] = None,
    plugin_files: PluginFiles = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="File to which the JSON is written as well.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="File for a plot of bias and variance: .png, .pdf or .svg.")
    ] = None,
) -> None:
    """Measure estimators of the gradient of an expected cost against the exact gradient.

    An estimator that does not apply is listed with the reason, and is not a failure. Exits with 5
    if something failed.
    """
    del plugin_files  # loaded by the option itself
    settings = _settings(
        temperatures=tuple(temperature or (1.0,)),
        states=states,
        draws=draws,
        warm_up=warm_up,
        seed=seed,
    )
    require_writable("--out", out)
    require_writable("--plot", plot)
    _require_image("--plot", plot)
    problems = _problems(names or (), problem_options or ())
    chosen = _estimators(estimators)
    structure = _relaxation(relaxation, options or ())

    from relaxit.environment import choose_device
    from relaxit.gradients import Surroundings

    around = Surroundings(
        choose_device(device), settings, structure, dataset or _mnist(data_dir), data_dir
    )
    reports, document = _run(problems, chosen, around, quiet=json)
    if all(report.reason for report in reports) and not any(report.failed for report in reports):
        missing = all(report.code == DataError.exit_code for report in reports)
        kind = DataError if missing else ConfigurationError
        raise kind("; ".join(dict.fromkeys(_reason(report) for report in reports)))
    text = json_text(document)
    if out:
        from relaxit.files import write_atomically

        write_atomically(out, text + "\n")
    if plot:
        from relaxit.gradients import draw_bias_and_variance

        draw_bias_and_variance(reports, plot)
    if json:
        print(text)
    raise typer.Exit(PluginError.exit_code if any(report.broken for report in reports) else 0)


def _require_image(flag: str, path: Path | None) -> None:
    from relaxit.gradients import ENDINGS

    if path and path.suffix.lower() not in ENDINGS:
        raise ConfigurationError(f"{flag} {path} must end in {', '.join(ENDINGS)}")


def _settings(**values: Any) -> GradientSettings:
    from pydantic import ValidationError

    from relaxit.errors import validation_summary
    from relaxit.gradients import GradientSettings

    try:
        return GradientSettings(**values)
    except ValidationError as error:
        first = validation_summary(error).partition("; temperatures")[0]  # else it is said twice
        flag, _, rest = first.partition(":")
        flag = flag.partition(".")[0].removesuffix("s") if "temp" in flag else flag
        raise ConfigurationError(f"--{flag.replace('_', '-')}:{rest}") from error


def _problems(names: Sequence[str], options: Sequence[str]) -> list[GradientProblem]:
    """Return the named problems with these options; all registered ones if none is named."""
    from relaxit.plugins import default_registry

    registry = default_registry()
    texts = key_values(options, "--problem-option")
    classes = [registry.find("problem", name) for name in names or registry.items("problem")]
    return [cls(**cls.Options.parse(texts)) for cls in dict.fromkeys(classes)]


def _estimators(listed: str | None) -> dict[str, type[Estimator]]:
    from relaxit.plugins import default_registry

    registry = default_registry()
    if listed is None:
        return registry.items("estimator")
    names = [name.strip() for name in listed.split(",") if name.strip()]
    if not names:
        raise ConfigurationError("--estimators must name at least one, got none")
    return {name: registry.find("estimator", name) for name in names}


def _relaxation(name: str | None, options: Sequence[str]) -> Relaxation | None:
    from relaxit.plugins import default_registry

    texts = key_values(options, "-o")
    if name is None:
        if texts:
            raise ConfigurationError("-o KEY=VALUE belongs to --relaxation, which is not given")
        return None
    cls = default_registry().find("relaxation", name)
    built: Relaxation = cls(**cls.Options.parse(texts))
    return built


def _mnist(data_dir: Path | None) -> str | None:
    """Return the data set that has files, if a directory of files is given."""
    return "mnist" if data_dir else None


def _reason(report: GradientReport) -> str:
    return f"{report.problem.name}: {report.reason}"


def _run(
    problems: Sequence[GradientProblem],
    estimators: dict[str, type[Estimator]],
    around: Surroundings,
    quiet: bool,
) -> tuple[list[GradientReport], dict[str, Any]]:
    """Run and print the problems in turn; return the reports and the JSON document."""
    from relaxit.bench.measuring import setting

    facts = setting(around.device)
    if not quiet:
        print_setting(facts)
    reports: list[GradientReport] = []
    try:
        for report in _measure(problems, estimators, around):
            reports.append(report)
            only = len(problems) == len(reports) == 1
            if quiet:
                if report.failed:
                    tell(f"{report.problem.name}: failed: {report.reason}")
            elif report.failed or not (report.reason and only):  # else it is the error message
                print_report(report)
    except KeyboardInterrupt as error:  # typer would exit without a message
        raise typer.Abort from error
    settings = around.settings.model_dump(mode="json")
    return reports, {**facts, "settings": settings, "problems": [r.to_json() for r in reports]}


def _measure(
    problems: Sequence[GradientProblem],
    estimators: dict[str, type[Estimator]],
    around: Surroundings,
) -> Iterator[GradientReport]:
    """Yield the reports of the problems in turn, with progress on stderr."""
    import dataclasses

    from relaxit.gradients import measure_problem

    screen = console()
    with screen.status("") as status:

        def show(text: str) -> None:
            if screen.is_terminal:
                status.update(text)
            else:
                tell(text)

        around = dataclasses.replace(around, progress=show)
        for problem in problems:
            reports = measure_problem(problem, estimators, around)
            while True:
                with contextlib.redirect_stdout(sys.stderr):  # output of plugins, for --json
                    report = next(reports, None)
                if report is None:
                    break
                yield report
