"""Versions and devices of this machine, for run directories and bug reports."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING

from relaxit.errors import ConfigurationError
from relaxit.hooks import OWN_DISTRIBUTION

if TYPE_CHECKING:
    import torch

__all__ = ["choose_device", "devices", "flushed_denormals", "require_memory", "versions"]

_REPORTED = (
    OWN_DISTRIBUTION,
    "torch",
    "torchvision",
    "numpy",
    "pluggy",
    "pydantic",
    "typer",
    "rich",
    "safetensors",
    "scikit-learn",
    "matplotlib",
    "tensorboard",
)


def versions() -> dict[str, str]:
    """Version of Python and of each library that a result may depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _REPORTED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def devices() -> list[str]:
    """Devices that a run may ask for, best first; ``auto`` takes the first one."""
    import torch

    found = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """Context in which numbers below the smallest normal one count as 0 on the CPU.

    Adam's second moments of pixels that are always black sink to 1e-40, where a CPU is many times
    slower: from the second epoch on MNIST a step took 1.6 times as long, with the same result to
    the third decimal. Threads that PyTorch has started already are not reached, so enter this
    before the first parallel operation.
    """
    import torch

    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def choose_device(asked: str) -> torch.device:
    """The device to run on.

    Args:
        asked: ``auto`` (cuda, then mps, then cpu), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        ConfigurationError: if that device is not there. It never falls back silently.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    import torch

    there = devices()
    if asked == "auto":
        return torch.device(there[0])
    if asked in there or (asked == "cuda" and "cuda:0" in there):
        return torch.device(asked)
    raise ConfigurationError(
        f"device {asked!r} is not there; this machine has {', '.join(there)}. "
        "Use --device auto or one of these"
    )


def require_memory(needed: int, what: str) -> None:
    """Refuse what cannot fit, by arithmetic, before anything is allocated.

    Args:
        needed: bytes.
        what: for what, named in the message.

    Raises:
        ConfigurationError: if this machine has less memory.

    Example:
        >>> require_memory(1 << 60, "a large table")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        relaxit.errors.ConfigurationError: about 1073741824 GiB are needed for a large table; ...
    """
    there = (
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    )
    if there and needed > there:
        raise ConfigurationError(
            f"about {needed / 2**30:.0f} GiB are needed for {what}; this machine has "
            f"{there / 2**30:.0f} GiB"
        )
