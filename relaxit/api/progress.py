"""The progress of training: a bar on a terminal, else one line per epoch."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaxit.api.first_lines import describe
from relaxit.api.notebook_progress import NotebookCallback, in_notebook
from relaxit.training import Callback, Experiment, SilentCallback

if TYPE_CHECKING:
    from rich.console import Console

    from relaxit.training import Display

__all__ = ["ProgressCallback", "progress_of", "screen"]


@contextlib.contextmanager
def progress_of(
    experiment: Experiment, path: Path | None, shown: bool, members: int = 1
) -> Iterator[Callback]:
    """Context with the callback that shows the progress of a run, after its first lines.

    Args:
        experiment: the run, or one of several that differ in seed or temperature only.
        path: directory of the results.
        shown: whether anything is shown.
        members: number of runs that are trained together.
    """
    if not shown:
        yield SilentCallback()
        return
    lines = describe(experiment, f"seed {experiment.config.seed}", path)
    config, display = experiment.config, experiment.display
    examples = members * len(experiment.data.train)
    if in_notebook():
        yield NotebookCallback(config.epochs, display, lines, experiment.noun)
        return
    callback = ProgressCallback(config.epochs, examples, 0, display, False, experiment.noun)
    for line in lines:
        callback.say(line)
    with callback:
        yield callback


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
        self.screen = screen()
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
        elif not self.quiet:
            print(line, file=sys.stderr, flush=True)

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
            self.say(
                f"epoch {row['epoch']}/{self.epochs}: {self.display.fill(self.display.line, row)}, "
                f"temperature {row['temperature']:.3f}, {row['examples_per_second']:.0f} "
                f"{self.noun}/s"
            )


def screen() -> Console:
    """Return the console of stderr; plain where it is no terminal or NO_COLOR is set."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def _bar(console: Console, noun: str) -> Any:
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
        console=console,
        refresh_per_second=5,
    )
