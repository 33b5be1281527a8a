"""Ctrl-C and SIGTERM end a run at the next step, with everything saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Self

__all__ = ["StopRequest"]


class StopRequest:
    """Context in which the first signal only asks for a stop; the second ends at once.

    A request inside the context of another one is passed on to that.

    Attributes:
        exit_code: 0, or 130 after Ctrl-C, or 143 after SIGTERM.
    """

    def __init__(self) -> None:
        self.exit_code = 0
        self._former: dict[int, object] = {}

    def __bool__(self) -> bool:
        return self.exit_code != 0

    def __enter__(self) -> Self:
        # Signals reach the main thread only; elsewhere the caller keeps its own handling.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._handle)
                # What an outer one was asked for before this one began is asked for still.
                outer = getattr(self._former[number], "__self__", None)
                if isinstance(outer, StopRequest):
                    self.exit_code = self.exit_code or outer.exit_code
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self:
            raise KeyboardInterrupt
        self.exit_code = 128 + number
        outer = getattr(self._former.get(number), "__self__", None)
        if isinstance(outer, StopRequest):
            outer.exit_code = self.exit_code
