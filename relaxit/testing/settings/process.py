"""Read and restore the settings of torch that hold for the whole process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.distributions import Bernoulli, Distribution

__all__ = ["global_settings", "restored"]

_BACKENDS: tuple[Any, ...] = (torch.backends.cuda, torch.backends.mkldnn)
_AUTOCAST = ("cpu", "cuda")


def _precision() -> tuple[str, ...]:
    """Return the precision of float32 matmuls: the common setting, then those of the backends.

    Reading the common setting raises if those of the backends were set separately.
    """
    try:
        common = torch.get_float32_matmul_precision()
    except RuntimeError:
        common = "highest"
    return common, *(backend.matmul.fp32_precision for backend in _BACKENDS)


def _set_precision(saved: tuple[str, ...]) -> None:
    torch.set_float32_matmul_precision(saved[0])
    for backend, precision in zip(_BACKENDS, saved[1:], strict=True):
        if backend.matmul.fp32_precision != precision:
            backend.matmul.fp32_precision = precision


def _set_device(device: torch.device) -> None:
    # A default device slows down every call, and without one the device is the CPU.
    torch.set_default_device(None if device.type == "cpu" else device)


def _autocast() -> tuple[tuple[str, bool, torch.dtype], ...]:
    return tuple(
        (kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
        for kind in _AUTOCAST
    )


def _set_autocast(saved: tuple[tuple[str, bool, torch.dtype], ...]) -> None:
    for kind, enabled, dtype in saved:
        torch.set_autocast_enabled(kind, enabled)
        torch.set_autocast_dtype(kind, dtype)


def _flushes() -> bool:
    """Whether denormal numbers are flushed to 0. Torch has no function that tells."""
    small = torch.full((), 1e-30, dtype=torch.float32, device="cpu")
    return float(small * 1e-10) == 0.0


def _validates() -> bool:
    """Whether torch's distributions check values by default. Torch has no function that tells."""
    try:
        Bernoulli(torch.full((), 2.0, dtype=torch.float32, device="cpu"))
    except ValueError:
        return True
    return False


_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "anomaly mode": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "the default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "the default device": (torch.get_default_device, _set_device),
    "the number of threads": (torch.get_num_threads, torch.set_num_threads),
    "deterministic algorithms": (
        torch.get_deterministic_debug_mode,
        torch.set_deterministic_debug_mode,
    ),
    "the precision of float32 matrix multiplications": (_precision, _set_precision),
    "autocast": (_autocast, _set_autocast),
    "flushing of denormal numbers": (_flushes, torch.set_flush_denormal),
}


def global_settings() -> dict[str, Any]:
    """Return the settings that a subject might change for the whole process."""
    return {name: read() for name, (read, _) in _SETTINGS.items()}


@contextmanager
def restored() -> Iterator[None]:
    """Context after which the settings of torch are what they were before.

    They include whether distributions check values, which ``torch.compile`` switches off.
    """
    before, validates = global_settings(), _validates()
    try:
        yield
    finally:
        if _validates() != validates:
            Distribution.set_default_validate_args(validates)
        for name, (read, write) in _SETTINGS.items():
            if read() != before[name]:
                write(before[name])
