"""A constant data set: the targets of the discrete variables in polynomial programming."""

from __future__ import annotations

from pathlib import Path

import torch

from relaxit.data import Dataset, Examples, Splits

__all__ = ["TARGET", "Constant"]

TARGET = 0.45
_WIDTH, _BATCH, _STEPS = 128, 64, 200


class Constant(Dataset):
    """12 800 rows of 128 numbers, all of them 0.45: an epoch is 200 steps of 64 rows.

    The test part is one such row.

    Example:
        >>> data = Constant().load(Path())
        >>> data.train.inputs.shape, data.test.inputs.shape, data.train.inputs[0, 0]
        (torch.Size([12800, 128]), torch.Size([1, 128]), tensor(0.4500))
    """

    api = 2
    name = "constant"
    noun = "rows"
    summary = "12 800 rows of 128 times 0.45, for polynomial programming: no download"

    def load(self, directory: Path, download: bool = False) -> Splits:
        del directory, download
        rows = torch.full((_STEPS * _BATCH, _WIDTH), TARGET)
        return Splits(Examples({"inputs": rows}), Examples({"inputs": rows[:1].clone()}))
