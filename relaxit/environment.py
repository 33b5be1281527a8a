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
    """Return the versions of Python and of each library that a result may depend on."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _REPORTED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def devices() -> list[str]:
    """List the devices that a run can use, best first; ``auto`` takes the first one."""
    import torch

    available = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        available.append("mps")
    return [*available, "cpu"]


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """Flush denormal numbers to 0 on the CPU, within a context.

    Adam's second moments of pixels that are always black sink to 1e-40, where a CPU is many times
    slower: from the second epoch on MNIST a step took 1.6 times as long, with the same result to
    the third decimal. Threads that PyTorch has already started are not affected, so enter this
    context before the first parallel operation.
    """
    import torch

    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def choose_device(asked: str) -> torch.device:
    """Return the device to run on.

    Args:
        asked: requested device: ``auto`` (cuda, then mps, then cpu), ``cpu``, ``cuda``, ``cuda:N``
            or ``mps``.

    Raises:
        ConfigurationError: if that device is not available. There is no silent fallback.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    import torch

    available = devices()
    if asked == "auto":
        return torch.device(available[0])
    if asked in available or (asked == "cuda" and "cuda:0" in available):
        return torch.device(asked)
    raise ConfigurationError(
        f"device {asked!r} is not available; this machine has {', '.join(available)}. "
        "Use --device auto or one of these"
    )


def require_memory(needed: int, what: str) -> None:
    """Reject work that cannot fit into memory, before anything is allocated.

    Args:
        needed: memory that the work needs, in bytes.
        what: what the memory is needed for, as named in the message.

    Raises:
        ConfigurationError: if this machine has less memory.

    Example:
        >>> require_memory(1 << 60, "a large table")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        relaxit.errors.ConfigurationError: about 1073741824 GiB are needed for a large table; ...
    """
    total = (
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    )
    if total and needed > total:
        raise ConfigurationError(
            f"about {needed / 2**30:.0f} GiB are needed for {what}; this machine has "
            f"{total / 2**30:.0f} GiB"
        )
