"""Arithmetic of the matrix multiplications of a training run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

import torch

from relaxit.errors import ConfigurationError

__all__ = ["Precision", "autocast", "check_precision", "matmuls"]

Precision = Literal["float32", "tf32", "bfloat16"]


def check_precision(precision: Precision, device: torch.device) -> None:
    """Check that the device supports the precision.

    Raises:
        ConfigurationError: for tf32 on a device other than CUDA.
    """
    if precision == "tf32" and device.type != "cuda":
        raise ConfigurationError(
            f"precision (--precision): tf32 needs a CUDA device, this run is on "
            f"{device.type}; use float32 or bfloat16"
        )


def autocast(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Return a context in which matmuls run in bfloat16, if that is the precision.

    Weights, sums, gradients of the weights and the optimizer stay in float32.

    Example:
        >>> a = torch.eye(2)
        >>> with autocast("bfloat16", torch.device("cpu")):
        ...     (a @ a).dtype
        torch.bfloat16
    """
    if precision != "bfloat16":
        return contextlib.nullcontext()
    context: contextlib.AbstractContextManager[None] = torch.autocast(device.type, torch.bfloat16)
    return context


@contextlib.contextmanager
def matmuls(precision: Precision, device: torch.device) -> Iterator[None]:
    """Context in which CUDA's float32 matmuls and convolutions run in IEEE float32, or in TF32.

    torch's default is neither: IEEE matmuls, but TF32 convolutions. The former settings are
    restored at the end. Nothing changes on other devices.
    """
    if device.type != "cuda":
        yield
        return
    wanted = "tf32" if precision == "tf32" else "ieee"
    backends: Any = torch.backends  # torch's annotations lack these attributes
    operations = (backends.cuda.matmul, backends.cudnn.conv)
    former = [operation.fp32_precision for operation in operations]
    try:
        for operation in operations:
            operation.fp32_precision = wanted
        yield
    finally:
        for operation, before in zip(operations, former, strict=True):
            operation.fp32_precision = before
