"""Images: examples with a height and a width, stored as grey levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from relaxit import noise
from relaxit.aliases import Generator
from relaxit.options import Options

__all__ = ["Binarise", "ImageOptions", "ImageReader", "read_images"]

Binarise = Literal["none", "threshold", "dynamic"]


class ImageOptions(Options):
    """Options of every built-in set of images."""

    binarise: Binarise = Field(
        "none", description="grey levels unchanged, thresholded at 0.5, or sampled for each batch"
    )


@dataclass(frozen=True)
class ImageReader:
    """Reads stored images as numbers in [0, 1], see :func:`read_images`.

    Attributes:
        levels: the stored value that means 1.
        binarise: how grey levels are read.
    """

    levels: int = 255
    binarise: Binarise = "none"

    def __call__(self, columns: Mapping[str, Tensor], generator: Generator) -> dict[str, Tensor]:
        if "inputs" not in columns:  # a task may use other columns only
            return dict(columns)
        inputs = read_images(columns["inputs"], self.levels, self.binarise, generator)
        return {**columns, "inputs": inputs}

    def limits(self, name: str, low: float, high: float) -> tuple[float, float]:
        return (low / self.levels, high / self.levels) if name == "inputs" else (low, high)


def read_images(
    stored: Tensor,  # [B, H, W] uint8 or float32
    levels: int,
    binarise: Binarise = "none",
    generator: Generator = None,
) -> Tensor:
    """Convert stored images to float32 in [0, 1].

    Args:
        stored: stored images ``[B, H, W]``, uint8, or float32 in [0, 1]; not modified.
        levels: the stored value that means 1.
        binarise: ``none`` keeps grey levels (for which the Bernoulli term is not a likelihood, but
            the usual score), ``threshold`` gives 1 above one half, ``dynamic`` samples each pixel
            again in every batch, with its grey level as probability.
        generator: generator of the samples of ``dynamic``.

    Returns:
        Float32 of the same shape, a new tensor.

    Example:
        >>> read_images(torch.tensor([[[0, 9, 16]]], dtype=torch.uint8), 16, "threshold")
        tensor([[[0., 1., 1.]]])
    """
    # Always a copy: otherwise mul_ would modify the data set itself if that is float32.
    grey = stored.to(torch.float32, copy=True).mul_(1 / levels)
    if binarise == "threshold":
        return (grey > 0.5).to(torch.float32)
    if binarise == "dynamic":
        drawn = noise.uniform(grey.shape, device=grey.device, generator=generator)
        return (drawn < grey).to(torch.float32)
    return grey
