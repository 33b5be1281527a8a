"""The chosen pixels in colour over the mean training picture."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from relaxit.data import Images, Part, read_batch
from relaxit.drawing import write_image

__all__ = ["COLOUR", "draw_selected", "mean_image", "overlay"]

COLOUR = (0.84, 0.15, 0.16)
"""Red, green and blue of a chosen pixel, in [0, 1]."""

_WIDTH = 720  # pixels, about


def overlay(chosen: Tensor, mean: Tensor, size: tuple[int, int]) -> Tensor:
    """Colours ``[height, width, 3]`` of a mean picture ``[P]`` with pixels chosen, ``[P]``.

    The mean is shown faintly, white where it is 0; chosen pixels in :data:`COLOUR`, all alike.
    """
    grey = (1 - 0.6 * mean / mean.max().clamp_min(1e-6)).unsqueeze(-1).expand(-1, 3)
    sheet = torch.where((chosen > 0.5).unsqueeze(-1), grey.new_tensor(COLOUR), grey)
    return sheet.reshape(*size, 3)


def mean_image(train: Part) -> Tensor:
    """Mean of stored pictures in [0, 1], ``[P]``."""
    sums = [read_batch(part.images, part.levels).sum(0) for part in train.split(10_000)]
    return torch.stack(sums).sum(0) / len(train)


def draw_selected(chosen: Tensor, images: Images, path: Path) -> None:
    """Write chosen pixels ``[P]`` over the mean training picture as a PNG file.

    Args:
        chosen: ones for the chosen pixels.
        images: the pictures.
        path: the file, written whole or not at all.
    """
    sheet = overlay(chosen, mean_image(images.part("train")), images.size).cpu()
    factor = max(1, _WIDTH // images.size[1])
    enlarged = sheet.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
    write_image(enlarged.numpy(), path)
