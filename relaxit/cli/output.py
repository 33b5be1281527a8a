"""Output for people (stderr) and for programs (stdout)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from relaxit.training import Display

__all__ = ["ProgressCallback", "console", "print_json", "tell"]


def console(stderr: bool = True) -> Console:
    """Return a rich console; plain where the stream is not a terminal or NO_COLOR is set."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def tell(message: str, quiet: bool = False) -> None:
    """Print one line for the user."""
    if not quiet:
        print(message, file=sys.stderr, flush=True)


def print_json(value: Any, allow_nan: bool = True) -> None:
    """Print one JSON document to stdout.

    Args:
        value: the document.
        allow_nan: whether NaN and infinity are allowed, which not every JSON reader accepts.

    Raises:
        ValueError: if the document has NaN or infinity, and they are not allowed.
    """
    print(json.dumps(value, indent=2, allow_nan=allow_nan))


class ProgressCallback:
    """Shows the progress of training: a bar on a terminal, else one plain line per epoch.

    Args:
        epochs: number of epochs of the run.
        examples: number of training examples.
        first_epoch: number of epochs that are finished already.
        display: how metrics are displayed.
        quiet: whether to print nothing.
        noun: what the examples are called.
    """

    def __init__(
        self,
        epochs: int,
        examples: int,
        first_epoch: int,
        display: Display,
        quiet: bool,
        noun: str = "examples",
    ) -> None:
        self.epochs, self.noun = epochs, noun
        self.display = display
        self.quiet = quiet
        self.waited: dict[str, float] = {}  # seconds before the first step, by cause
        self.screen = console()
        self.bar = None
        if self.screen.is_terminal and not quiet:
            self.bar = _bar(self.screen, noun)
            self.task = self.bar.add_task(
                f"epoch {first_epoch + 1}/{epochs}",
                total=epochs * examples,
                completed=first_epoch * examples,
                means="",
            )

    def __enter__(self) -> ProgressCallback:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.bar:
            self.bar.stop()

    def ready(self, engine: str, reason: str, seconds: float) -> None:
        """Print what the time until the end of the first step was spent on, in seconds."""
        parts = {**self.waited, "first step": seconds}
        listed = ", ".join(f"{cause} {spent:.1f}" for cause, spent in parts.items())
        self.say(f"engine {engine} ({reason}); ready in {sum(parts.values()):.1f} s ({listed})")

    def say(self, line: str) -> None:
        """Print a line, above the bar if there is one."""
        if self.bar:
            self.bar.console.print(line, markup=False)
        else:
            tell(line, self.quiet)

    def step(self, examples: int, means: Mapping[str, float]) -> None:
        if self.bar:
            text = self.display.fill(self.display.bar, means)
            self.bar.update(self.task, advance=examples, means=text)

    def epoch(self, row: Mapping[str, float | int]) -> None:
        if self.bar:
            following = min(int(row["epoch"]) + 1, self.epochs)
            examples = round(row["examples_per_second"] * row["seconds"])
            self.bar.update(
                self.task,
                completed=int(row["epoch"]) * examples if "partial" not in row else None,
                description=f"epoch {following}/{self.epochs}",
            )
        else:
            tell(
                f"epoch {row['epoch']}/{self.epochs}: {self.display.fill(self.display.line, row)}, "
                f"temperature {row['temperature']:.3f}, {row['examples_per_second']:.0f} "
                f"{self.noun}/s",
                self.quiet,
            )


def _bar(screen: Console, noun: str) -> Any:
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed or 0:.0f} {noun}/s")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[means]}", markup=False),
        Speed(),
        TimeRemainingColumn(),
        console=screen,
        refresh_per_second=5,
    )
