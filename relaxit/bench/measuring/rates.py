"""The best rates of this machine, from which lower bounds are computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from relaxit import noise
from relaxit.bench.lower_bound import Rates
from relaxit.bench.measuring.clock import Timer, timer_for

__all__ = ["measure_rates"]

_COPIES = (2**20, 2**24, 2**28)  # bytes moved: within a cache, within a large one, in memory
_DRAWS = (2**16, 2**20)
_LARGE_DRAW = 2**26  # fills a GPU
_LAUNCHES = 200
_REPEATS = 5


def measure_rates(device: torch.device, timer: Timer | None = None) -> Rates:
    """Measure the rates of a device with the current threads and precision, within a second.

    Each is the best of several repetitions, so that another program that runs meanwhile does not
    raise a lower bound. Random numbers are those of PyTorch's generator or of
    :mod:`relaxit.noise`, whichever is faster here. The global generators are left unchanged.

    Args:
        device: device to measure.
        timer: makes one call and returns its seconds; the device's own if None.

    Example:
        >>> rates = measure_rates(torch.device("cpu"))
        >>> rates.random_numbers > 0, rates.launches
        (True, None)
    """
    timer = timer or timer_for(device)
    cpu = device.type == "cpu"
    generator = torch.Generator(device).manual_seed(0)

    def best(call: Callable[[], Any]) -> float:
        timer(call)  # touches its memory, starts threads, looks for an algorithm
        return max(min(timer(call) for _ in range(_REPEATS)), 1e-9)

    def copy(moved: int) -> float:
        source = torch.zeros(moved // 2, dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        return moved / best(lambda: target.copy_(source))

    def draw(count: int) -> float:
        numbers = torch.empty(count, device=device)
        serial = best(lambda: numbers.uniform_(generator=generator))
        ours = best(lambda: noise.uniform(torch.Size([count]), device=device, generator=generator))
        return count / min(serial, ours)

    def matmul() -> float:
        n = 1024 if cpu else 8192
        factor, result = torch.ones(n, n, device=device), torch.empty(n, n, device=device)
        return 2 * n**3 / best(lambda: torch.mm(factor, factor, out=result))

    def launch() -> float:
        scalar = torch.zeros(1, device=device)

        def launches() -> None:
            for _ in range(_LAUNCHES):
                scalar.add_(1)

        return _LAUNCHES / best(launches)

    return Rates(
        copies=tuple((moved, copy(moved)) for moved in _COPIES),
        random_numbers=max(map(draw, _DRAWS if cpu else (*_DRAWS, _LARGE_DRAW))),
        flops=matmul(),
        launches=None if cpu else launch(),
    )
