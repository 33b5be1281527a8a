"""Peak memory of one call, beyond what was allocated before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.profiler import profile

__all__ = ["bytes_of", "highest", "peak_bytes"]

_LOG_LEVEL = "KINETO_LOG_LEVEL"


def peak_bytes(call: Callable[[], Any], device: torch.device) -> int | None:
    """Return the peak memory of one call in bytes, its result included; None if not known.

    On the CPU it is the highest running sum of the allocations that torch's profiler sees: torch's
    own in the calling thread, including those inside an operation and of a backward pass, but not
    those of NumPy or of a library with an allocator of its own. On CUDA it is the largest amount
    that torch's allocator had handed out, minus what it had handed out before.

    Example:
        >>> x = torch.zeros(1000)  # 4000 bytes
        >>> peak_bytes(lambda: (x + x).sum(), torch.device("cpu"))
        4004
    """
    if device.type == "cuda":
        return _cuda_peak(call, device)
    if device.type == "cpu":
        return _cpu_peak(call)
    return None


def _cpu_peak(call: Callable[[], Any]) -> int:
    with _quiet_profiler(), profile(profile_memory=True) as profiler:
        result = call()
    del result
    profile_results: Any = profiler.kineto_results
    events = [event for event in profile_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return highest(event.nbytes() for event in events)


@contextmanager
def _quiet_profiler() -> Iterator[None]:
    """Silence the profiler's library, which reads its log level when it is first used."""
    before = os.environ.get(_LOG_LEVEL)
    os.environ.setdefault(_LOG_LEVEL, "99")
    try:
        yield
    finally:
        if before is None:
            del os.environ[_LOG_LEVEL]


def _cuda_peak(call: Callable[[], Any], device: torch.device) -> int:
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    result = call()
    torch.cuda.synchronize(device)
    del result
    return max(0, torch.cuda.max_memory_allocated(device) - before)


def highest(changes: Iterable[int]) -> int:
    """Return the highest running sum, which never falls below 0.

    Memory that is freed without having been allocated was there before. PyTorch's profiler mostly
    leaves it out, but not where it remembers the address from an earlier use.

    Example:
        >>> highest([8, 16, -8, 4, -16, -4]), highest([-400, 4])
        (24, 4)
    """
    total = peak = 0
    for change in changes:
        total = max(0, total + change)
        peak = max(peak, total)
    return peak


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Return the size of tensors in bytes.

    Example:
        >>> bytes_of([torch.zeros(3), torch.zeros(2, dtype=torch.float64)])
        28
    """
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
