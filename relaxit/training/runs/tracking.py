"""Logs metrics to local files: one line of JSON per epoch, and TensorBoard events."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

from relaxit.training.runs.directory import RunDirectory

__all__ = ["Tracker"]

_WRITE_SECONDS = 1.0


class Tracker:
    """Writes each epoch's metrics to ``metrics.jsonl`` and to TensorBoard.

    The file is rewritten completely and synced, which takes as long as a short epoch. It is
    therefore written at most once per second; :meth:`flush` and the end of the context write the
    remaining epochs.

    TensorBoard is optional: if it fails, there is one warning and training goes on.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.writer: Any = None
        self._unwritten: Sequence[Mapping[str, float | int]] = ()
        self._written = -_WRITE_SECONDS

    def __enter__(self) -> Self:
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(self.run.tensorboard))
        except Exception as error:
            self._give_up(error)
        return self

    def __exit__(self, *exc: object) -> None:
        self.flush()
        try:
            if self.writer is not None:
                self.writer.close()
        except Exception as error:
            self._give_up(error)

    def log(self, rows: Sequence[Mapping[str, float | int]]) -> None:
        """Log the last of the epochs so far."""
        self._unwritten = rows
        if time.monotonic() - self._written > _WRITE_SECONDS:
            self.flush()
        if self.writer is None:
            return
        row = rows[-1]
        try:
            for key, value in row.items():
                if key not in ("epoch", "step"):
                    self.writer.add_scalar(key, value, row["step"])
        except Exception as error:
            self._give_up(error)

    def flush(self) -> None:
        """Write the pending metrics now."""
        if self._unwritten:
            self.run.write_metrics(self._unwritten)
            self._unwritten, self._written = (), time.monotonic()

    def _give_up(self, error: Exception) -> None:
        self.writer = None
        warnings.warn(f"no TensorBoard events are written: {error}", stacklevel=3)
