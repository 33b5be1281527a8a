"""``relaxit bench structures`` and ``sampling``: registered benchmarks, one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from relaxit.cli.bench.options import Against, Device, Json, Only, Out, Threads, names_in
from relaxit.cli.bench.session import Session, settings_of
from relaxit.cli.bench.table import print_report
from relaxit.cli.flags import named_by_flag, parse_options
from relaxit.cli.plugin_option import PluginFiles
from relaxit.errors import ConfigurationError, UnknownName

if TYPE_CHECKING:
    import torch

    from relaxit.bench import Benchmark, BenchmarkReport, BenchmarkSettings, Rates

__all__ = ["suite", "taking_part"]


def suite(group: str) -> Callable[..., None]:
    """Return the command that runs the benchmarks of a group."""

    def command(
        names: Annotated[
            list[str] | None, typer.Argument(help="Benchmarks; all of this kind if none is given.")
        ] = None,
        options: Annotated[
            list[str] | None,
            typer.Option(
                "-o", "--option", help="Option KEY=VALUE of every benchmark run; may be repeated."
            ),
        ] = None,
        device: Device = "auto",
        threads: Threads = None,
        rounds: Annotated[int, typer.Option(help="Maximum number of rounds.")] = 200,
        seconds: Annotated[
            float,
            typer.Option(
                help="Time budget per benchmark in seconds; at least three rounds are run."
            ),
        ] = 10.0,
        against: Against = None,
        only: Only = None,
        no_compile: Annotated[
            bool,
            typer.Option("--no-compile", help="Leave out implementations that use torch.compile."),
        ] = False,
        plugin_files: PluginFiles = None,
        json: Json = False,
        out: Out = None,
    ) -> None:
        from relaxit.environment import choose_device

        del plugin_files  # loaded by the option itself
        chosen = _chosen(group, names or (), options or ())
        settings = settings_of(
            rounds=rounds,
            seconds=seconds,
            compiled=not no_compile,
            only=frozenset(only or ()),
            against=names_in(against),
        )
        session = Session(
            print_report, device, threads, json, out, settings.model_dump(mode="json")
        )

        # Checked before the machine's rates are measured, which takes seconds.
        benchmarks = taking_part(chosen, settings, choose_device(device))

        def work(there: torch.device, rates: Rates | None) -> Iterator[BenchmarkReport]:
            from relaxit.bench import run_benchmark

            for benchmark in benchmarks:

                def show(text: str, name: str = benchmark.name) -> None:
                    session.progress(f"{name}: {text}")

                yield run_benchmark(benchmark, there, settings, rates=rates, progress=show)

        session.run(work, with_rates=_any_needs(benchmarks))

    return command


def _chosen(group: str, names: Sequence[str], options: Sequence[str]) -> list[Benchmark]:
    """Return every run of the named benchmarks, or of all in the group, with these options."""
    from relaxit.plugins import default_registry

    registry = default_registry()
    members = [name for name, cls in registry.items("benchmark").items() if cls.group == group]
    classes = [registry.find("benchmark", name) for name in names or members]
    if not classes:
        known = ", ".join(registry.items("benchmark")) or "none"
        raise ConfigurationError(
            f"no installed plugin provides benchmarks of {group}; by name there are: {known}"
        )
    runs: list[Benchmark] = []
    for cls in dict.fromkeys(classes):
        given = parse_options(cls, options, "-o")
        with named_by_flag({cls.kind: "-o"}):
            runs += [cls(**{**preset, **given}) for preset in cls.presets]
    return list(dict.fromkeys(runs))


def _any_needs(chosen: Sequence[Benchmark]) -> bool:
    """Whether any benchmark states what its work needs, from which a lower bound follows."""
    from relaxit.bench import Benchmark

    return any(type(benchmark).needs is not Benchmark.needs for benchmark in chosen)


def taking_part(
    chosen: Sequence[Benchmark], settings: BenchmarkSettings, device: torch.device
) -> list[Benchmark]:
    """Return the benchmarks with one of the requested implementations; all if none is requested.

    Raises:
        UnknownName: if no benchmark has an implementation of that name, or of that baseline.
    """
    from relaxit.bench import OWN, implementations_of

    if not settings.only and not settings.against:
        return list(chosen)
    names: dict[Benchmark, set[str]] = {}
    baselines = {OWN}
    for benchmark in chosen:
        with contextlib.suppress(Exception):  # its run reports the problem
            implementations = implementations_of(benchmark, device)
            names[benchmark] = {implementation.name for implementation in implementations}
            baselines |= {
                implementation.baseline
                for implementation in implementations
                if implementation.baseline
            }
    for kind, requested, known in (
        ("implementation", settings.only, set().union(*names.values())),
        ("baseline", settings.against, baselines),
    ):
        for name in sorted(requested - known):
            raise UnknownName(kind, name, known)
    only = settings.only
    return [benchmark for benchmark in chosen if not only or names.get(benchmark, only) & only]
