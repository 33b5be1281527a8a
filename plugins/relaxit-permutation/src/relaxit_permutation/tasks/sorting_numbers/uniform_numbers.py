"""Uniform numbers, to be put in order: a data set of pictures of one pixel.

A task joins several of them into a list. The trainer shuffles the training part anew each epoch,
so that the lists of an epoch are not those of another.
"""

from __future__ import annotations

from pathlib import Path

import torch

from relaxit.data import Dataset, Images

__all__ = ["UniformNumbers"]

_TRAIN, _TEST = 60_000, 20_000
_GRID = 1 << 17  # float32 holds its points exactly


class UniformNumbers(Dataset):
    """80 000 numbers of [0, 1), always the same ones; the last 20 000 are the test part.

    They are drawn without replacement from the multiples of 2^-17: no two are equal, so that every
    list of them has one order only, and no two are nearer than 7.6e-6, which is well above the
    rounding of scores in float32.

    Example:
        >>> images = UniformNumbers().load(Path())
        >>> images.train.shape, images.test.shape, images.train.dtype
        (torch.Size([60000, 1]), torch.Size([20000, 1]), torch.float32)
        >>> len(torch.cat([images.train, images.test]).unique())
        80000
    """

    api = 1
    name = "numbers"
    summary = "80 000 uniform numbers in [0, 1), for lists to be sorted: no download"

    def load(self, directory: Path, download: bool = False) -> Images:
        del directory, download
        order = torch.randperm(_GRID, generator=torch.Generator().manual_seed(0))
        numbers = order[: _TRAIN + _TEST, None].float() / _GRID
        return Images(train=numbers[:_TRAIN], test=numbers[_TRAIN:], size=(1, 1), levels=1)
