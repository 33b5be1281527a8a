"""``relaxit bench``: how fast, how large and how exact the ways of doing one thing are."""

from __future__ import annotations

import contextlib
import json as json_module
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relaxit.cli.bench_gradients import gradients
from relaxit.cli.bench_table import print_report, print_setting
from relaxit.cli.output import console, print_json
from relaxit.cli.plugin_file import PluginFiles
from relaxit.cli.settings import key_values
from relaxit.cli.writable import require_writable
from relaxit.errors import ConfigurationError, PluginError, UnknownName

if TYPE_CHECKING:
    import torch

    from relaxit.bench import Benchmark, Report, Settings

__all__ = ["bench"]

bench = typer.Typer(help="Measure time, memory and error.", no_args_is_help=True)
bench.command()(gradients)


@bench.callback()
def group() -> None:
    """Measure time, memory and error."""


@bench.command()
def structures(
    names: Annotated[list[str] | None, typer.Argument(help="Benchmarks; all if none.")] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("-o", "--option", help="KEY=VALUE of every benchmark that is run."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="Of the CPU, for all contenders; PyTorch's choice if absent.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="At most so many rounds.")] = 200,
    seconds: Annotated[
        float, typer.Option(help="A benchmark's rounds begin within these; three at least.")
    ] = 10.0,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Run this contender; may be given again."),
    ] = None,
    no_compile: Annotated[
        bool, typer.Option("--no-compile", help="Leave out what goes through torch.compile.")
    ] = False,
    plugin_files: PluginFiles = None,
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    out: Annotated[Path | None, typer.Option(help="File to write the JSON to as well.")] = None,
) -> None:
    """Run benchmarks of structures: the contenders of each in turn, round after round.

    A contender that fails or cannot be run is listed with the reason. Exits with 5 if a benchmark
    gave no figures because something failed.
    """
    del plugin_files  # loaded by the option itself
    chosen = _chosen(names or (), options or ())
    settings = _settings(
        rounds=rounds, seconds=seconds, compiled=not no_compile, only=frozenset(only or ())
    )
    _check(threads, out)
    reports, document = _run(chosen, settings, device, threads, quiet=json)
    if out:
        from relaxit.files import write_whole

        write_whole(out, json_module.dumps(document, indent=2) + "\n")
    if json:
        print_json(document)
    raise typer.Exit(PluginError.exit_code if any(report.broken for report in reports) else 0)


def _chosen(names: Sequence[str], options: Sequence[str]) -> list[Benchmark]:
    """The named benchmarks with their options; all registered ones if none is named."""
    from relaxit.registry import default

    registry = default()
    texts = key_values(options, "-o")
    found = [registry.find("benchmark", name) for name in names or registry.items("benchmark")]
    return [cls(**cls.Options.parse(texts)) for cls in dict.fromkeys(found)]


def _settings(**values: Any) -> Settings:
    from pydantic import ValidationError

    from relaxit.bench import Settings
    from relaxit.errors import one_line

    try:
        return Settings(**values)
    except ValidationError as error:
        raise ConfigurationError(f"--{one_line(error)}") from error


def _check(threads: int | None, out: Path | None) -> None:
    """What would otherwise be noticed after minutes of measuring."""
    if threads is not None and threads < 1:
        raise ConfigurationError(f"--threads must be >= 1, got {threads}")
    require_writable("--out", out)


def _taking_part(
    chosen: Sequence[Benchmark], only: frozenset[str], device: torch.device
) -> list[Benchmark]:
    """The benchmarks that have one of the contenders asked for; all if none was."""
    from relaxit.bench.run import contenders_of

    if not only:
        return list(chosen)
    names: dict[Benchmark, set[str]] = {}
    for benchmark in chosen:
        with contextlib.suppress(Exception):  # it is run, and says itself what is wrong
            names[benchmark] = {each.name for each in contenders_of(benchmark, device)}
    known = set().union(*names.values())
    for name in sorted(only - known):
        raise UnknownName("contender", name, known)
    return [each for each in chosen if names.get(each, only) & only]


def _measure(
    chosen: Sequence[Benchmark], settings: Settings, device: torch.device
) -> Iterator[Report]:
    """Run one benchmark after the other, and show on a terminal what is being done."""
    from relaxit.bench import run_benchmark

    with console().status("") as status:
        for benchmark in chosen:

            def show(text: str, name: str = benchmark.name) -> None:
                status.update(f"{name}: {text}")

            with contextlib.redirect_stdout(sys.stderr):  # what contenders print, for --json
                report = run_benchmark(benchmark, device, settings, progress=show)
            yield report


def _run(
    chosen: Sequence[Benchmark], settings: Settings, device: str, number: int | None, quiet: bool
) -> tuple[list[Report], dict[str, Any]]:
    """Run and print one benchmark after the other; the reports, and all of it for JSON."""
    from relaxit.bench.machine import setting, threads
    from relaxit.environment import choose_device

    there = choose_device(device)
    reports: list[Report] = []
    with threads(number):
        facts = setting(there)
        if not quiet:
            print_setting(facts)
        try:
            for report in _measure(_taking_part(chosen, settings.only, there), settings, there):
                reports.append(report)
                if not quiet:
                    print_report(report)
        except KeyboardInterrupt as error:  # typer would end without a word
            raise typer.Abort from error
    document = {**facts, "settings": settings.model_dump(mode="json")}
    return reports, {**document, "benchmarks": [report.to_json() for report in reports]}
