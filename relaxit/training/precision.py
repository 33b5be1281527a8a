"""In which arithmetic the matrix products of a training run are worked out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

import torch

from relaxit.errors import ConfigurationError

__all__ = ["Precision", "autocast", "check_precision", "matmuls"]

Precision = Literal["float32", "tf32", "bfloat16"]


def check_precision(precision: Precision, device: torch.device) -> None:
    """Refuse what the device does not have.

    Raises:
        ConfigurationError: for tf32 anywhere but on CUDA.
    """
    if precision == "tf32" and device.type != "cuda":
        raise ConfigurationError(
            f"precision (--precision): tf32 is an arithmetic of CUDA devices, this run is on "
            f"{device.type}; use float32 or bfloat16"
        )


def autocast(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Context in which matrix products run in bfloat16, if that is the precision.

    Weights, sums, gradients of the weights and the optimizer stay in float32.

    Example:
        >>> a = torch.eye(2)
        >>> with autocast("bfloat16", torch.device("cpu")):
        ...     (a @ a).dtype
        torch.bfloat16
    """
    if precision != "bfloat16":
        return contextlib.nullcontext()
    found: contextlib.AbstractContextManager[None] = torch.autocast(device.type, torch.bfloat16)
    return found


@contextlib.contextmanager
def matmuls(precision: Precision, device: torch.device) -> Iterator[None]:
    """Context in which CUDA's float32 products are exact, or in TF32; the settings are given back.

    Torch's own default is neither: exact products, but convolutions in TF32. Nothing changes on
    other devices.
    """
    if device.type != "cuda":
        yield
        return
    wanted = "tf32" if precision == "tf32" else "ieee"
    backends: Any = torch.backends  # torch's own annotations leave out what is set here
    places = (backends.cuda.matmul, backends.cudnn.conv)
    former = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = wanted
        yield
    finally:
        for place, before in zip(places, former, strict=True):
            place.fp32_precision = before
