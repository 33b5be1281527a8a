"""Uniform numbers to be sorted: a data set whose examples are single numbers.

A task joins several of them into a list. The trainer shuffles the training set in each epoch, so
that the lists differ between epochs.
"""

from __future__ import annotations

from pathlib import Path

import torch

from relaxit.data import Dataset, Examples, Splits

__all__ = ["UniformNumbers"]

_TRAIN, _TEST = 60_000, 20_000
_GRID = 1 << 17  # float32 represents its points exactly


class UniformNumbers(Dataset):
    """A fixed set of 80 000 numbers in [0, 1); the last 20 000 are the test set.

    They are drawn without replacement from the multiples of 2^-17. No two are equal, so that every
    list has a unique order, and no two are closer than 7.6e-6, which is well above rounding errors
    of scores in float32.

    Example:
        >>> data = UniformNumbers().load(Path())
        >>> data.train.inputs.shape, data.test.inputs.shape, data.train.inputs.dtype
        (torch.Size([60000]), torch.Size([20000]), torch.float32)
        >>> len(torch.cat([data.train.inputs, data.test.inputs]).unique())
        80000
    """

    api = 2
    name = "numbers"
    noun = "numbers"
    summary = "80 000 uniform numbers in [0, 1) to be sorted in lists; no download"

    def load(self, directory: Path, download: bool = False) -> Splits:
        del directory, download
        order = torch.randperm(_GRID, generator=torch.Generator().manual_seed(0))
        numbers = order[: _TRAIN + _TEST].float() / _GRID
        train, test = numbers[:_TRAIN], numbers[_TRAIN:]
        return Splits(Examples({"inputs": train}), Examples({"inputs": test}))
