"""The progress of training in a notebook: the first lines, and one line that is updated."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relaxit.training import Display

__all__ = ["NotebookCallback", "in_notebook"]

_UPDATE_SECONDS = 0.5


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class NotebookCallback:
    """Shows the first lines of a run, and one line that is updated while it is trained."""

    def __init__(self, epochs: int, display: Display, lines: Sequence[str], noun: str) -> None:
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
