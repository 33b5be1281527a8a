"""Figures of the chosen pixels, in colour over the mean training image."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from relaxit.data import Examples, Splits
from relaxit.drawing import write_image

__all__ = ["COLOUR", "draw_selected", "mean_image", "overlay"]

COLOUR = (0.84, 0.15, 0.16)
"""Red, green and blue of a chosen pixel, in [0, 1]."""

_WIDTH = 720  # pixels, about


def overlay(chosen: Tensor, mean: Tensor, size: tuple[int, int]) -> Tensor:
    """Return colours ``[height, width, 3]`` of a mean image ``[P]`` with chosen pixels ``[P]``.

    The mean is drawn faintly, white where it is 0, and all chosen pixels in :data:`COLOUR`.
    """
    grey = (1 - 0.6 * mean / mean.max().clamp_min(1e-6)).unsqueeze(-1).expand(-1, 3)
    sheet = torch.where((chosen > 0.5).unsqueeze(-1), grey.new_tensor(COLOUR), grey)
    return sheet.reshape(*size, 3)


def mean_image(train: Examples) -> Tensor:
    """Return the mean ``[P]`` of images, in [0, 1]."""
    sums = [batch.inputs.flatten(1).sum(0) for batch in train.batches(10_000)]
    return torch.stack(sums).sum(0) / len(train)


def draw_selected(chosen: Tensor, data: Splits, path: Path) -> None:
    """Write a PNG file of the chosen pixels over the mean training image.

    Args:
        chosen: ones for the chosen pixels, zeros for the others, ``[P]``.
        data: the images, with their height and width.
        path: path of the file, which is written atomically.
    """
    height, width = data.format.inputs.shape
    sheet = overlay(chosen, mean_image(data.train), (height, width)).cpu()
    factor = max(1, _WIDTH // width)
    enlarged = sheet.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
    write_image(enlarged.numpy(), path)
