"""Converts stored rows to batches of numbers in [0, 1], on the device and vectorised."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from relaxit import noise
from relaxit.aliases import Generator

__all__ = ["Binarise", "read_batch"]

Binarise = Literal["none", "threshold", "dynamic"]


def read_batch(
    stored: Tensor,  # [B, P] uint8 or float32
    levels: int,
    binarise: Binarise = "none",
    generator: Generator = None,
) -> Tensor:
    """Convert stored images to float32 in [0, 1].

    Args:
        stored: stored images ``[B, P]``, uint8, or float32 in [0, 1]; not modified.
        levels: the stored value that means 1.
        binarise: ``none`` keeps grey levels (for which the Bernoulli term is not a likelihood, but
            the usual score), ``threshold`` gives 1 above one half, ``dynamic`` samples each pixel
            again in every batch, with its grey level as probability.
        generator: generator of the samples of ``dynamic``.

    Returns:
        ``[B, P]`` float32, a new tensor.

    Example:
        >>> read_batch(torch.tensor([[0, 9, 16]], dtype=torch.uint8), 16, "threshold")
        tensor([[0., 1., 1.]])
    """
    # Always a copy: otherwise mul_ would modify the data set itself if that is float32.
    grey = stored.to(torch.float32, copy=True).mul_(1 / levels)
    if binarise == "threshold":
        return (grey > 0.5).to(torch.float32)
    if binarise == "dynamic":
        drawn = noise.uniform(grey.shape, device=grey.device, generator=generator)
        return (drawn < grey).to(torch.float32)
    return grey
