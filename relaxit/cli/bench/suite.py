"""``relaxit bench structures`` and ``sampling``: registered benchmarks, one after the other."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relaxit.cli.bench.session import BenchmarkSession
from relaxit.cli.bench.table import print_rates, print_report
from relaxit.cli.flags import named_by_flag, parse_options, settings_of
from relaxit.cli.options import Against, Device, Json, NoCompile, Only, Out, Threads, names_in
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
        no_compile: NoCompile = False,
        plugin_files: PluginFiles = None,
        json: Json = False,
        out: Out = None,
    ) -> None:
        from relaxit.bench import BenchmarkSettings

        del plugin_files  # loaded by the option itself
        benchmarks = _chosen(group, names or (), options or ())
        settings = settings_of(
            BenchmarkSettings,
            rounds=rounds,
            seconds=seconds,
            compiled=not no_compile,
            only=frozenset(only or ()),
            against=frozenset(names_in(against)),
        )
        _SuiteSession(
            device=device,
            threads=threads,
            json=json,
            files=[out] if out else [],
            settings=settings,
            benchmarks=benchmarks,
        ).run()

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


@dataclass(kw_only=True)
class _SuiteSession(BenchmarkSession):
    """Runs registered benchmarks, after the rates of the machine if a lower bound needs them."""

    benchmarks: Sequence[Benchmark]
    rates: Rates | None = field(default=None, init=False)

    def introduce(self, device: torch.device) -> None:
        from relaxit.bench import Benchmark, measure_rates

        # Checked before the rates are measured, which takes seconds.
        self.benchmarks = taking_part(self.benchmarks, self.settings, device)
        super().introduce(device)
        if any(type(benchmark).needs is not Benchmark.needs for benchmark in self.benchmarks):
            self.rates = measure_rates(device)
            self.facts["rates"] = dataclasses.asdict(self.rates)
            if not self.json:
                print_rates(self.rates)

    def results(self, device: torch.device) -> Iterator[BenchmarkReport]:
        from relaxit.bench import run_benchmark

        for benchmark in self.benchmarks:

            def show(text: str, name: str = benchmark.name) -> None:
                self.progress(f"{name}: {text}")

            yield run_benchmark(benchmark, device, self.settings, rates=self.rates, progress=show)

    def show(self, result: Any) -> None:
        if not self.json:
            print_report(result)


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
