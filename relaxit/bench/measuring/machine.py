"""The setting of a measurement: device, threads, versions, date."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import torch

from relaxit.environment import versions
from relaxit.hooks import OWN_DISTRIBUTION

__all__ = ["cores", "seconds_since_start", "setting", "threads"]


def setting(device: torch.device) -> dict[str, Any]:
    """Return what is needed to interpret a measurement, as values that JSON has.

    Example:
        >>> setting(torch.device("cpu"))["device"]
        'cpu'
    """
    installed = versions()
    return {
        "device": str(device),
        "device_name": _name(device),
        "cores": cores(),
        "load": _load(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,  # with the build, which the distribution's version may lack
        "relaxit": installed[OWN_DISTRIBUTION],
        "python": installed["python"],
        "platform": installed["platform"],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def cores() -> int:
    """Return the number of cores; 1 if it is not known."""
    return os.cpu_count() or 1


def seconds_since_start() -> float | None:
    """Return the age of this process, which its user has waited; None if not on Linux.

    Example:
        >>> seconds_since_start() != 0
        True
    """
    try:
        with open("/proc/self/stat", encoding="ascii") as file:
            began = int(file.read().rpartition(")")[2].split()[19])  # field 22, in ticks
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return round(now - began / os.sysconf("SC_CLK_TCK"), 3)


def _load() -> float | None:
    """Return how many processes wanted a core, averaged over a minute; None on Windows."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else device.type


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """Context in which torch uses ``number`` CPU threads; unchanged if None.

    Example:
        >>> with threads(1):
        ...     torch.get_num_threads()
        1
    """
    before = torch.get_num_threads()
    try:
        if number is not None:
            torch.set_num_threads(number)
        yield
    finally:
        torch.set_num_threads(before)
