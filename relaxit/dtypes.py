"""The dtype in which samples and densities are computed."""

from __future__ import annotations

import torch

__all__ = ["compute_dtype", "longest_dtype", "smallest_stored"]


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which samples and densities are computed: at least float32.

    Example:
        >>> compute_dtype(torch.bfloat16), compute_dtype(torch.float64)
        (torch.float32, torch.float64)
    """
    return torch.float64 if dtype == torch.float64 else torch.float32


def longest_dtype(device: torch.device) -> torch.dtype:
    """Return the longest floating dtype that a device has: float64, or float32 on Apple's GPUs.

    Example:
        >>> longest_dtype(torch.device("cpu"))
        torch.float64
    """
    return torch.float32 if device.type == "mps" else torch.float64


def smallest_stored(dtype: torch.dtype) -> float:
    """Return the smallest number that a soft sample is clamped at.

    It is the smallest normal number, but for float16 the smallest subnormal one: a thousand
    entries of its smallest normal number would be 6 % of a row.

    Example:
        >>> smallest_stored(torch.float16) == 2**-24
        True
    """
    return 2.0**-24 if dtype == torch.float16 else torch.finfo(dtype).tiny
