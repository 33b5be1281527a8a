"""One run of a command that measures: setting, progress, Ctrl-C, document and exit code."""

from __future__ import annotations

import contextlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import typer

from relaxit.cli.output import console, tell
from relaxit.cli.output_file import require_writable
from relaxit.cli.tables import print_notes
from relaxit.errors import CheckpointError, ConfigurationError
from relaxit.json_text import json_text

if TYPE_CHECKING:
    import torch
    from rich.status import Status

__all__ = ["Result", "Session"]

_MOST_THREADS = 4  # per core
Result = TypeVar("Result")


@dataclass(kw_only=True)
class Session(ABC, Generic[Result]):
    """One run of a command that measures, from its options to its exit code.

    A command writes a class with its own options, which yields one result after the other. What is
    done is kept, whatever ends the run.

    Attributes:
        device, threads, json, quiet: options of the command; ``quiet`` suppresses progress.
        files: files that are written at the end.
        done: results so far.
        facts: setting of the measurement, for the document.
        stopped: whether Ctrl-C or an error ended the run early.
    """

    makes_directories: ClassVar[bool] = False

    device: str
    files: Sequence[Path]
    json: bool
    threads: int | None = None
    quiet: bool = False
    done: list[Result] = field(default_factory=list, init=False)
    facts: dict[str, Any] = field(default_factory=dict, init=False)
    stopped: bool = field(default=False, init=False)
    _status: Status | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Check what would otherwise be noticed after minutes of measuring."""
        _require_threads(self.threads)
        for path in self.files:
            require_writable("--out", path, self.makes_directories)

    @abstractmethod
    def results(self, device: torch.device) -> Iterator[Result]:
        """Yield the results. At Ctrl-C the exception may have one more as ``report``."""

    @abstractmethod
    def show(self, result: Result) -> None:
        """Print a result as soon as it is there."""

    @abstractmethod
    def document(self) -> dict[str, Any]:
        """Return all that is done, as values that JSON has or numbers that are not finite."""

    @abstractmethod
    def judge(self) -> int:
        """Return the exit code of a run that Ctrl-C did not end.

        Raises:
            RelaxitError: if there is nothing to return success for.
        """

    def introduce(self, device: torch.device) -> None:
        """Print one line: what is measured on which machine, and when."""
        from relaxit.bench.measuring import seconds_since_start, setting

        self.facts = {**setting(device), "ready_seconds": seconds_since_start()}
        if not self.json:
            _print_setting(self.facts)

    def conclude(self) -> None:
        """Print what all results say together, before the document is written."""

    def text(self, path: Path) -> str:
        """Return the content of a file."""
        del path
        return json_text(self.document()) + "\n"

    def deliver(self) -> None:
        """Write the files; without a result, those of a former call stay. Print the document."""
        try:
            self._write()
        finally:  # hours of work must not be lost to a full disk
            if self.json:
                print(json_text(self.document()))

    def run(self) -> None:
        """Measure, print, write, and exit with the exit code.

        Raises:
            RelaxitError: as :meth:`results` and :meth:`judge`.
            Abort: after Ctrl-C.
            Exit: otherwise.
        """
        from relaxit.bench.measuring import threads
        from relaxit.environment import choose_device

        there = choose_device(self.device)
        with threads(self.threads):
            self.introduce(there)
            self._collect(self.results(there))
        self.conclude()
        self.deliver()
        if self.stopped:
            raise typer.Abort  # typer would exit without a message
        raise typer.Exit(self.judge())

    def progress(self, text: str) -> None:
        """Show on a terminal what is running."""
        if self._status:
            self._status.update(text)

    def step(self, text: str) -> None:
        """Show what is running: in place on a terminal, else as a line on stderr."""
        if self._status and self._status.console.is_terminal:
            self._status.update(text)
        else:
            tell(text, self.quiet)

    def _collect(self, results: Iterator[Result]) -> None:
        """Collect and print all results, until Ctrl-C ends it."""
        with contextlib.nullcontext() if self.quiet else console().status("") as self._status:
            try:
                while True:
                    with contextlib.redirect_stdout(sys.stderr):  # what is measured may print
                        result = next(results, None)
                    if result is None:
                        break
                    self._add(result)
            except KeyboardInterrupt as error:
                self.stopped = True
                partial = getattr(error, "report", None)
                if partial and partial.measured:
                    self._add(partial)
            except BaseException:
                self.stopped = True
                self._write()
                raise

    def _add(self, result: Result) -> None:
        self.done.append(result)
        self.show(result)

    def _write(self) -> None:
        from relaxit.files import write_atomically

        for path in self.files if self.done else ():
            place = path.parent
            try:
                place.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise CheckpointError(f"cannot write {place}: {error.strerror}") from error
            write_atomically(path, self.text(path))


def _require_threads(number: int | None) -> None:
    """Check the number of CPU threads; None is PyTorch's choice.

    Raises:
        ConfigurationError: if it is too large for the machine, or not positive.
    """
    if number is None:
        return
    from relaxit.bench.measuring import cores

    most = _MOST_THREADS * cores()
    if not 1 <= number <= most:
        raise ConfigurationError(
            f"--threads must be from 1 to {most} on {cores()} cores, got {number}"
        )


def _print_setting(facts: Mapping[str, Any]) -> None:
    plural = "s" if facts["threads"] > 1 else ""
    ready = facts["ready_seconds"]
    print_notes(
        f"device {facts['device']} ({facts['device_name']}), {facts['threads']} CPU thread{plural} "
        f"on {facts['cores']} cores (load {facts['load']}), torch {facts['torch']}, {facts['date']}"
        + (f", ready after {ready:.1f} s" if ready else ""),
        indent=0,
    )
