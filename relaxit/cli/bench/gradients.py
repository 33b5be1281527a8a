"""``relaxit bench gradients``: bias, variance and time of the estimators."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relaxit.cli.bench.gradients_session import GradientSession
from relaxit.cli.flags import build, named_by_flag, parse_options, settings_of
from relaxit.cli.options import Device, Json, Out, Threads, names_in
from relaxit.cli.output_file import require_writable
from relaxit.cli.plugin_option import PluginFiles
from relaxit.errors import ConfigurationError, UnknownName

if TYPE_CHECKING:
    from relaxit.bench import Benchmark
    from relaxit.estimators import Estimator
    from relaxit.gradients import GradientProblem
    from relaxit.relaxation import Relaxation

__all__ = ["gradients"]


def gradients(
    names: Annotated[
        list[str] | None, typer.Argument(help="Gradient problems, or estimator-time; all if none.")
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
    seconds: Annotated[
        float, typer.Option(help="Time budget of each column of estimator-time, in seconds.")
    ] = 5.0,
    seed: Annotated[int, typer.Option(help="Seed of problems and draws.")] = 0,
    device: Device = "auto",
    threads: Threads = None,
    dataset: Annotated[str | None, typer.Option(help="Data set, for problems with images.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Directory of the data files.")] = None,
    plugin_files: PluginFiles = None,
    json: Json = False,
    out: Out = None,
    plot: Annotated[
        Path | None, typer.Option(help="File for a plot of bias and variance: .png, .pdf or .svg.")
    ] = None,
) -> None:
    """Measure estimators of the gradient of an expected cost against the exact gradient.

    ``estimator-time`` measures the time of one estimate instead, in units of that of st-gumbel. An
    estimator that does not apply is listed with the reason, and is not a failure. Exits with 5 if
    something failed.
    """
    del plugin_files  # loaded by the option itself
    from relaxit.bench import BenchmarkSettings
    from relaxit.gradients import GradientSettings

    settings = settings_of(
        GradientSettings,
        {"temperatures": "--temperature"},
        temperatures=tuple(temperature or (1.0,)),
        states=states,
        draws=draws,
        warm_up=warm_up,
        seed=seed,
    )
    settings_of(BenchmarkSettings, seconds=seconds)
    require_writable("--plot", plot)
    _require_image("--plot", plot)
    session = GradientSession(
        device=device,
        threads=threads,
        json=json,
        files=[out] if out else [],
        settings=settings,
        problems=_problems(names or (), problem_options or ()),
        times=_times(names or (), problem_options or (), relaxation, options or ()),
        estimators=_estimators(estimators),
        seconds=seconds,
        relaxation=_relaxation(relaxation, options or ()),
        dataset=dataset or ("mnist" if data_dir else None),  # the one that has files
        data_dir=data_dir,
        plot=plot,
    )
    if plot and not session.problems:
        raise ConfigurationError("--plot draws bias and variance; name a gradient problem as well")
    session.run()


def _require_image(flag: str, path: Path | None) -> None:
    from relaxit.gradients import ENDINGS

    if path and path.suffix.lower() not in ENDINGS:
        raise ConfigurationError(f"{flag} {path} must end in {', '.join(ENDINGS)}")


def _benchmarks() -> dict[str, type[Benchmark]]:
    """Return the registered benchmarks whose implementations are estimators."""
    from relaxit.plugins import default_registry

    found = default_registry().items("benchmark")
    return {name: cls for name, cls in found.items() if cls.group == "gradients"}


def _problems(names: Sequence[str], options: Sequence[str]) -> list[GradientProblem]:
    """Return the named problems with these options; all registered ones if nothing is named."""
    from relaxit.plugins import default_registry

    registry, benchmarks = default_registry(), _benchmarks()
    problems = registry.items("problem")
    listed = [name for name in names or problems if name not in benchmarks]
    for name in listed:
        near = difflib.get_close_matches(name, [*problems, *benchmarks], n=1)
        if near and near[0] in benchmarks:
            raise UnknownName("problem", name, {*problems, *benchmarks})
    classes = [registry.find("problem", name) for name in listed]
    return [build(cls, options, "--problem-option") for cls in dict.fromkeys(classes)]


def _times(
    names: Sequence[str], options: Sequence[str], relaxation: str | None, texts: Sequence[str]
) -> list[Benchmark]:
    """Return the runs of the named benchmarks, of all if nothing is named.

    There is one per preset, or a single one of the given relaxation with these options.
    """
    benchmarks = _benchmarks()
    runs: list[Benchmark] = []
    for name in dict.fromkeys(names or benchmarks):
        if (cls := benchmarks.get(name)) is None:
            continue
        given = parse_options(cls, options, "--problem-option")
        presets = cls.presets
        if relaxation is not None:
            presets = ({"relaxation": relaxation, "relaxation_options": tuple(texts)},)
        with named_by_flag({"benchmark": "--problem-option"}):
            runs += [cls(**{**preset, **given}) for preset in presets]
    return runs


def _estimators(listed: str | None) -> dict[str, type[Estimator]] | None:
    """Return the listed estimators; None for all."""
    from relaxit.plugins import default_registry

    registry = default_registry()
    if listed is None:
        return None
    names = names_in(listed)
    if not names:
        raise ConfigurationError("--estimators must name at least one, got none")
    return {name: registry.find("estimator", name) for name in names}


def _relaxation(name: str | None, options: Sequence[str]) -> Relaxation | None:
    from relaxit.plugins import default_registry

    if name is None:
        if options:
            raise ConfigurationError("-o KEY=VALUE belongs to --relaxation, which is not given")
        return None
    built: Relaxation = build(default_registry().find("relaxation", name), options, "-o")
    return built
