"""From stored rows to a batch of numbers in [0, 1], on the device, without Python per picture."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from relaxit import noise

__all__ = ["Binarise", "read_batch"]

Binarise = Literal["none", "threshold", "dynamic"]


def read_batch(
    stored: Tensor,  # [B, P] uint8 or float32
    levels: int,
    binarise: Binarise = "none",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Pictures as float32 in [0, 1].

    Args:
        stored: ``[B, P]`` uint8, or float32 in [0, 1]; never changed.
        levels: the stored value that means 1.
        binarise: ``none`` keeps grey levels (for which the Bernoulli term is no likelihood, only
            the usual score), ``threshold`` gives 1 above one half, ``dynamic`` draws each pixel
            anew with its grey level as probability.
        generator: source of randomness for ``dynamic``.

    Returns:
        ``[B, P]`` float32, a tensor of its own.

    Example:
        >>> read_batch(torch.tensor([[0, 9, 16]], dtype=torch.uint8), 16, "threshold")
        tensor([[0., 1., 1.]])
    """
    # A copy always: of a float32 set the product in place would otherwise go into the set itself.
    grey = stored.to(torch.float32, copy=True).mul_(1 / levels)
    if binarise == "threshold":
        return (grey > 0.5).to(torch.float32)
    if binarise == "dynamic":
        drawn = noise.uniform(grey.shape, device=grey.device, generator=generator)
        return (drawn < grey).to(torch.float32)
    return grey
