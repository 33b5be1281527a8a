"""The time of one call, by the clock that fits the device."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["Timer", "repeating_timer_for", "timer_for", "wait_for"]

Timer = Callable[[Callable[[], Any]], float]
"""Makes one call and returns its seconds."""


def timer_for(device: torch.device) -> Timer:
    """Return the timer of a device: wall clock, or on CUDA a pair of events around the call.

    The device is idle when the call begins, and the work that the call started there is finished
    when the time is taken. So the time that a small call spends launching kernels is included.

    Example:
        >>> timer_for(torch.device("cpu"))(lambda: None) < 1
        True
    """
    if device.type == "cuda":
        return lambda call: _cuda_seconds(call, device)
    if device.type == "cpu":
        return _wall_seconds
    return lambda call: _synchronised_seconds(call, device)


def repeating_timer_for(device: torch.device, least_seconds: float = 0.02) -> Timer:
    """Return a timer that returns the median time of as many calls as are made in a while.

    On a CPU with one thread it is processor time, which leaves out the time in which other programs
    ran.

    Args:
        device: device that makes the calls.
        least_seconds: for how long calls are repeated; at least one is made.

    Example:
        >>> repeating_timer_for(torch.device("cpu"), 0.0)(lambda: None) < 1
        True
    """
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    once = _thread_seconds if alone else timer_for(device)

    def seconds(call: Callable[[], Any]) -> float:
        times = [once(call)]
        while sum(times) < least_seconds:
            times.append(once(call))
        return statistics.median(times)

    return seconds


def _thread_seconds(call: Callable[[], Any]) -> float:
    started = time.thread_time()
    call()
    return time.thread_time() - started


def _wall_seconds(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _synchronised_seconds(call: Callable[[], Any], device: torch.device) -> float:
    wait_for(device)

    def whole() -> None:
        call()
        wait_for(device)

    return _wall_seconds(whole)


def _cuda_seconds(call: Callable[[], Any], device: torch.device) -> float:
    with torch.cuda.device(device):  # events belong to the current device's stream
        first = torch.cuda.Event(enable_timing=True)
        last = torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize(device)
        first.record()
        call()
        last.record()
        torch.cuda.synchronize(device)
        return first.elapsed_time(last) / 1e3  # from milliseconds


def wait_for(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
