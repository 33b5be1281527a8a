"""Ctrl-C and SIGTERM end a run after the current step, with everything saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Self

__all__ = ["StopRequest"]


class StopRequest:
    """Context manager in which the first signal requests a stop and the second ends at once.

    In nested contexts a request is passed on to the outer one.

    Attributes:
        exit_code: 0, or 130 after Ctrl-C, or 143 after SIGTERM.
    """

    def __init__(self) -> None:
        self.exit_code = 0
        self._former: dict[int, object] = {}

    def __bool__(self) -> bool:
        return self.exit_code != 0

    def __enter__(self) -> Self:
        # Handlers can be set in the main thread only; elsewhere the caller's handling stays.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._handle)
                # A stop that was requested in an outer context before still counts.
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
