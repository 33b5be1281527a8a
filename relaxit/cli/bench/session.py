"""What every benchmark command does around its figures: setting, threads, Ctrl-C, output."""

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

__all__ = ["Figures", "Session", "Work", "settings_of"]

_MOST_THREADS = 4  # a core


def settings_of(**values: Any) -> BenchmarkSettings:
    """Settings of a run.

    Raises:
        ConfigurationError: naming the flag of a value that is refused.
    """
    from pydantic import ValidationError

    from relaxit.bench import BenchmarkSettings
    from relaxit.errors import validation_summary

    try:
        return BenchmarkSettings(**values)
    except ValidationError as error:
        raise ConfigurationError(f"--{validation_summary(error)}") from error


class Figures(Protocol):
    """What one benchmark gave."""

    @property
    def measured(self) -> bool:
        """Whether there is any figure."""

    @property
    def broken(self) -> bool:
        """Whether there is none because something failed."""

    @property
    def excuses(self) -> list[str]:
        """Why there is none of this or that implementation."""

    def to_json(self) -> dict[str, Any]:
        """All of it."""


Work = Callable[["torch.device", "Rates | None"], Iterator[Figures]]
"""Gives the figures of one benchmark after the other, on a device of such rates."""


@dataclass
class Session:
    """One run of a command, from its options to its exit code.

    Attributes:
        show: prints what one benchmark gave.
        device, threads, json, out: options of the command.
        settings: what the JSON says about how the figures were taken.
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
        """Refuse what would otherwise be noticed after minutes of measuring."""
        from relaxit.bench.measuring import cores

        most = _MOST_THREADS * cores()
        if self.threads is not None and not 1 <= self.threads <= most:
            raise ConfigurationError(
                f"--threads must be from 1 to {most} on {cores()} cores, got {self.threads}"
            )
        require_writable("--out", self.out)

    def run(self, work: Work, with_rates: bool = False) -> NoReturn:
        """Measure, print, write, and end with the exit code.

        Args:
            with_rates: whether the rates of the machine are measured first.
            work: on Ctrl-C it raises with what it has of the benchmark it was at, as ``report``.

        Raises:
            ConfigurationError: if nothing at all was measured, though nothing failed.
            Abort: after Ctrl-C; what was done is printed and written.
            Exit: else; with 5 if a benchmark gave no figures because something failed.
        """
        from relaxit.bench.measuring import threads
        from relaxit.environment import choose_device

        there = choose_device(self.device)
        with threads(self.threads):
            self._introduce(there)
            found = work(there, self._rates(there) if with_rates else None)
            stopped = self._collect(found)
        self._deliver(stopped)
        if stopped:
            raise typer.Abort  # typer would end without a word
        if not any(each.measured or each.broken for each in self.done):
            reasons = dict.fromkeys(text for each in self.done for text in each.excuses)
            raise ConfigurationError(
                f"nothing was measured: {'; '.join(reasons) or 'no implementation'}"
            )
        broken = any(each.broken for each in self.done)
        raise typer.Exit(PluginError.exit_code if broken else 0)

    def progress(self, text: str) -> None:
        """Show on a terminal what is being done."""
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

        found = measure_rates(device)
        self.facts["rates"] = dataclasses.asdict(found)
        if not self.json:
            print_rates(found)
        return found

    def _collect(self, found: Iterator[Figures]) -> bool:
        """Take and print all figures; whether Ctrl-C ended it."""
        with console().status("") as self.status:
            while True:
                try:
                    with contextlib.redirect_stdout(sys.stderr):  # what implementations print
                        figures = next(found, None)
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
