"""The progress of training: a bar on a terminal, a line that is updated in a notebook."""

from __future__ import annotations

import contextlib
import html
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaxit.training import Callback, Experiment, SilentCallback

if TYPE_CHECKING:
    from rich.console import Console

    from relaxit.training import Display

__all__ = ["NotebookCallback", "ProgressCallback", "describe", "progress_of"]


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
    config, display = experiment.config, experiment.task.display
    examples = members * len(experiment.data.train)
    if _in_notebook():
        yield NotebookCallback(config.epochs, display, lines, experiment.noun)
        return
    callback = ProgressCallback(config.epochs, examples, 0, display, False, experiment.noun)
    for line in lines:
        callback.say(line)
    with callback:
        yield callback


def describe(experiment: Experiment, who: str, path: Path | None) -> list[str]:
    """Return the first lines of a run: device, model, data, optimisation and objective.

    Args:
        experiment: the run, or one of several that differ in seed or temperature only.
        who: what the lines are about, such as ``seed 0``.
        path: directory of the results; None if there is none.
    """
    config, setup = experiment.config, experiment.setup
    why = "best available" if config.device == "auto" else "as requested"
    epochs = f"{config.epochs} epoch{'s' if config.epochs > 1 else ''}"
    where = f", run {path}" if path else ""
    lines = [f"device {experiment.device} ({why}), {who}{where}"]
    chosen = [
        f"{variable.latents} x {variable.relaxation!r} by {variable.estimator.name}"
        + (f" ({name})" if name else "")
        for name, variable in setup.variables.items()
    ]
    lines.append(
        f"{', '.join(chosen)}, on {config.data.name} ({_training_examples(experiment)}), {epochs}"
    )
    lines.append(_optimisation(experiment))
    lines.append(f"minimises the {experiment.task.statement(setup)}")
    return lines


def _optimisation(experiment: Experiment) -> str:
    """Return batch, optimizer and schedules in one line."""
    config = experiment.config
    o, t = config.optimizer, config.temperature
    rate = f"learning rate {o.lr:g} ({o.schedule}"
    rate += f", {o.warmup:.0%} warm-up)" if o.warmup else ", no warm-up)"
    tau = f"temperature {t.initial:g}"
    if t.schedule != "constant":
        tau += f" to {t.final:g}" if t.schedule != "learned" else ""
        tau += f" ({t.schedule})"
    parts = [f"batch {config.batch_size}", o.method, rate, f"weight decay {o.weight_decay:g}", tau]
    return ", ".join(parts)


def _training_examples(experiment: Experiment) -> str:
    """Return how many training examples there are, and the shape of an example."""
    inputs = experiment.data.format.columns.get("inputs")
    size = f" of {'x'.join(map(str, inputs.shape))}" if inputs and inputs.shape else ""
    return f"{len(experiment.data.train)} training {experiment.noun}{size}"


def _in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


_UPDATE_SECONDS = 0.5


class NotebookCallback:
    """Shows the first lines of a run, and one line that is updated while it is trained."""

    def __init__(self, epochs: int, display: Display, lines: list[str], noun: str) -> None:
        from IPython.display import HTML
        from IPython.display import display as show

        self.html: Any = HTML
        self.epochs, self.display, self.noun = epochs, display, noun
        self.text = "<br>".join(html.escape(line) for line in lines)
        self.handle: Any = show(HTML(self.text), display_id=True)
        self.done, self._updated = 0, 0.0

    def ready(self, engine: str, reason: str, seconds: float) -> None:
        self.text += f"<br>engine {html.escape(engine)} ({html.escape(reason)})"

    def step(self, examples: int, means: Mapping[str, float]) -> None:
        if time.monotonic() - self._updated > _UPDATE_SECONDS:
            self._show(self.done + 1, self.display.fill(self.display.bar, means))

    def epoch(self, row: Mapping[str, float | int]) -> None:
        self.done = int(row["epoch"])
        speed = f"{row['examples_per_second']:.0f} {self.noun}/s"
        self._show(self.done, f"{self.display.fill(self.display.line, row)}, {speed}")

    def _show(self, epoch: int, text: str) -> None:
        bar = f'<progress value="{self.done}" max="{self.epochs}"></progress>'
        line = f"{bar} epoch {epoch}/{self.epochs}: {html.escape(text)}"
        self.handle.update(self.html(f"{self.text}<br>{line}"))
        self._updated = time.monotonic()


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
        self.screen = _console()
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


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


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
