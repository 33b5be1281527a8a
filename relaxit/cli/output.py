"""What a person reads (stderr) and what a program reads (stdout)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from relaxit.training import Display

__all__ = ["ProgressCallback", "console", "print_json", "print_table", "tell"]


def console(stderr: bool = True) -> Console:
    """A rich console; plain where the stream is no terminal or NO_COLOR is set."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def tell(message: str, quiet: bool = False) -> None:
    """One line for the person."""
    if not quiet:
        print(message, file=sys.stderr, flush=True)


def print_json(value: Any, allow_nan: bool = True) -> None:
    """One JSON document on stdout, and nothing else there.

    Args:
        value: the document.
        allow_nan: whether NaN and infinity are written, which not every reader of JSON takes.

    Raises:
        ValueError: if there is one though it is not allowed.
    """
    print(json.dumps(value, indent=2, allow_nan=allow_nan))


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], stderr: bool = False
) -> None:
    """A table. On stdout for listings, which are what was asked for."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):  # the first holds names, which are read as a whole
        table.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: brackets in a name are no markup
    console(stderr).print(table)


class ProgressCallback:
    """Shows the course of training: a bar on a terminal, a plain line an epoch elsewhere."""

    def __init__(
        self, epochs: int, images: int, first_epoch: int, display: Display, quiet: bool
    ) -> None:
        self.epochs = epochs
        self.display = display
        self.quiet = quiet
        self.waited: dict[str, float] = {}  # seconds before the first step, by what took them
        self.screen = console()
        self.bar = None
        if self.screen.is_terminal and not quiet:
            self.bar = _bar(self.screen)
            self.task = self.bar.add_task(
                f"epoch {first_epoch + 1}/{epochs}",
                total=epochs * images,
                completed=first_epoch * images,
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
        """What the person waited for, in seconds, now that the first step is done."""
        parts = {**self.waited, "first step": seconds}
        listed = ", ".join(f"{what} {each:.1f}" for what, each in parts.items())
        self.say(f"engine {engine} ({reason}); ready in {sum(parts.values()):.1f} s ({listed})")

    def say(self, line: str) -> None:
        """A line, above the bar if there is one."""
        if self.bar:
            self.bar.console.print(line, markup=False)
        else:
            tell(line, self.quiet)

    def step(self, images: int, means: Mapping[str, float]) -> None:
        if self.bar:
            said = self.display.fill(self.display.bar, means)
            self.bar.update(self.task, advance=images, means=said)

    def epoch(self, row: Mapping[str, float | int]) -> None:
        if self.bar:
            following = min(int(row["epoch"]) + 1, self.epochs)
            images = round(row["images_per_second"] * row["seconds"])
            self.bar.update(
                self.task,
                completed=int(row["epoch"]) * images if "partial" not in row else None,
                description=f"epoch {following}/{self.epochs}",
            )
        else:
            tell(
                f"epoch {row['epoch']}/{self.epochs}: {self.display.fill(self.display.line, row)}, "
                f"temperature {row['temperature']:.3f}, {row['images_per_second']:.0f} images/s",
                self.quiet,
            )


def _bar(screen: Console) -> Any:
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
            return Text(f"{task.speed or 0:.0f} images/s")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[means]}", markup=False),
        Speed(),
        TimeRemainingColumn(),
        console=screen,
        refresh_per_second=5,
    )
