"""What the benchmark commands have in common: setting, threads, Ctrl-C and output."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import typer

from relaxit.cli.bench.table import print_rates, print_setting
from relaxit.cli.output import console
from relaxit.cli.output_file import require_writable
from relaxit.errors import ConfigurationError, PluginError

if TYPE_CHECKING:
    import torch
    from rich.status import Status

    from relaxit.bench import BenchmarkSettings, Rates

__all__ = ["Figures", "Session", "Work", "require_threads", "settings_of"]

_MOST_THREADS = 4  # per core


def settings_of(**values: Any) -> BenchmarkSettings:
    """Return the settings of a run.

    Raises:
        ConfigurationError: naming the flag with an invalid value.
    """
    from pydantic import ValidationError

    from relaxit.bench import BenchmarkSettings
    from relaxit.validation import validation_summary

    try:
        return BenchmarkSettings(**values)
    except ValidationError as error:
        said = validation_summary(error, lambda path: f"--{path.replace('_', '-')}")
        raise ConfigurationError(said) from error


def require_threads(number: int | None) -> None:
    """Check the number of CPU threads; None is PyTorch's choice.

    Raises:
        ConfigurationError: if it is too large for the machine, or not positive.
    """
    from relaxit.bench.measuring import cores

    most = _MOST_THREADS * cores()
    if number is not None and not 1 <= number <= most:
        raise ConfigurationError(
            f"--threads must be from 1 to {most} on {cores()} cores, got {number}"
        )


class Figures(Protocol):
    """The results of one benchmark."""

    @property
    def measured(self) -> bool:
        """Whether anything was measured."""

    @property
    def broken(self) -> bool:
        """Whether nothing was measured because something failed."""

    @property
    def excuses(self) -> list[str]:
        """Reasons why implementations were not measured."""

    def to_json(self) -> dict[str, Any]:
        """Return all results as values that JSON has."""


Work = Callable[["torch.device", "Rates | None"], Iterator[Figures]]
"""Yields the results of one benchmark after the other, on a device with the given rates."""


@dataclass
class Session:
    """One run of a command, from its options to its exit code.

    Attributes:
        show: prints the results of one benchmark.
        device, threads, json, out: options of the command.
        settings: how the measurements were made, for the JSON.
    """

    show: Callable[[Any], None]
    device: str
    threads: int | None
    json: bool
    out: Path | None
    settings: Mapping[str, Any]
    done: list[Figures] = field(default_factory=list, init=False)
    facts: dict[str, Any] = field(default_factory=dict, init=False)
    status: Status | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Check what would otherwise be noticed after minutes of measuring."""
        require_threads(self.threads)
        require_writable("--out", self.out)

    def run(self, work: Work, with_rates: bool = False) -> NoReturn:
        """Measure, print, write, and exit with the exit code.

        Args:
            with_rates: whether the rates of the machine are measured first.
            work: yields the results; on Ctrl-C it may raise an exception with those of the running
                benchmark as ``report``.

        Raises:
            ConfigurationError: if nothing at all was measured, though nothing failed.
            Abort: after Ctrl-C; what was done is printed and written.
            Exit: otherwise; with 5 if a benchmark gave no results because something failed.
        """
        from relaxit.bench.measuring import threads
        from relaxit.environment import choose_device

        there = choose_device(self.device)
        with threads(self.threads):
            self._introduce(there)
            results = work(there, self._rates(there) if with_rates else None)
            stopped = self._collect(results)
        self._deliver(stopped)
        if stopped:
            raise typer.Abort  # typer would exit without a message
        if not any(figures.measured or figures.broken for figures in self.done):
            reasons = dict.fromkeys(text for figures in self.done for text in figures.excuses)
            raise ConfigurationError(
                f"nothing was measured: {'; '.join(reasons) or 'no implementation'}"
            )
        broken = any(figures.broken for figures in self.done)
        raise typer.Exit(PluginError.exit_code if broken else 0)

    def progress(self, text: str) -> None:
        """Show on a terminal what is running."""
        if self.status:
            self.status.update(text)

    def _introduce(self, device: torch.device) -> None:
        from relaxit.bench.measuring import seconds_since_start, setting

        waited = seconds_since_start()
        self.facts = {**setting(device), "ready_seconds": waited}
        if not self.json:
            print_setting(self.facts)

    def _rates(self, device: torch.device) -> Rates:
        from relaxit.bench import measure_rates

        rates = measure_rates(device)
        self.facts["rates"] = dataclasses.asdict(rates)
        if not self.json:
            print_rates(rates)
        return rates

    def _collect(self, results: Iterator[Figures]) -> bool:
        """Collect and print all results; return whether Ctrl-C ended it."""
        with console().status("") as self.status:
            while True:
                try:
                    with contextlib.redirect_stdout(sys.stderr):  # what implementations print
                        figures = next(results, None)
                except KeyboardInterrupt as error:
                    partial = getattr(error, "report", None)
                    if partial and partial.measured:
                        self._add(partial)
                    return True
                if figures is None:
                    return False
                self._add(figures)

    def _add(self, figures: Figures) -> None:
        self.done.append(figures)
        if not self.json:
            self.show(figures)

    def _deliver(self, stopped: bool) -> None:
        document = {
            **self.facts,
            "settings": dict(self.settings),
            "stopped": stopped,
            "benchmarks": [figures.to_json() for figures in self.done],
        }
        text = json.dumps(document, indent=2)
        if self.out:
            from relaxit.files import write_atomically

            write_atomically(self.out, text + "\n")
        if self.json:
            print(text)
