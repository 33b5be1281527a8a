"""A benchmark whose figures are known, and a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pydantic import Field

from relaxit import Options
from relaxit.bench import Benchmark, Implementation, Unavailable


class Clock:
    """Stands for the timer and for the clock: a call takes what it says it takes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def takes(self, name: str, seconds: float) -> Callable[[], torch.Tensor]:
        def call() -> torch.Tensor:
            self.calls.append(name)
            self.now += seconds
            return torch.ones(3)

        return call

    def timer(self, call: Callable[[], Any]) -> float:
        started = self.now
        call()
        return self.now - started


class KnownOptions(Options):
    n: int = Field(default=1000, ge=1, description="entries")


class Known(Benchmark):
    """Ones of float32: the right answer; one a little off; one that cannot; one that raises."""

    api, name, summary = 1, "test-known", "figures that are known"
    structure = "test-structure"
    Options = KnownOptions

    def inputs(self, device: torch.device) -> tuple[torch.Tensor, ...]:
        return (torch.ones(self.options.n, device=device),)

    def implementations(self, device: torch.device) -> list[Implementation]:
        (x,) = self.inputs(device)

        def absent() -> Callable[[], torch.Tensor]:
            import a_baseline_that_nobody_has  # noqa: F401

            return lambda: x

        def unavailable() -> Callable[[], torch.Tensor]:
            raise Unavailable("needs a quiet room")

        return [
            Implementation("off", lambda: lambda: x + 0.5, "adds a half"),
            Implementation("right", lambda: lambda: x.clone(), reference=True, baseline="torch"),
            Implementation("raises", lambda: lambda: x.view(7, -1, 7)),
            Implementation("short", lambda: lambda: x[:1]),
            Implementation("absent", absent),
            Implementation("unavailable", unavailable),
        ]

    def oracle(self, device: torch.device) -> torch.Tensor:
        return self.inputs(device)[0].double()
