"""The handwritten digits that come with scikit-learn: real data without a download."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from relaxit.data.dataset import Dataset, Images

__all__ = ["Digits"]


class Digits(Dataset):
    """1797 digits of 8x8 pixels in 17 grey levels; every fifth image is in the test part.

    The set has no official split. Every fifth image gives an even mix of its writers.

    Example:
        >>> from pathlib import Path
        >>> images = Digits().load(Path())
        >>> images.train.shape, images.test.shape, images.levels
        (torch.Size([1437, 64]), torch.Size([360, 64]), 16)
        >>> images.train_labels.shape, images.format.classes
        (torch.Size([1437]), 10)

    Reference: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
    """

    api = 1
    name = "digits"
    summary = "1797 handwritten digits, 8x8, bundled with scikit-learn: no download"
    references = ("UCI Optical Recognition of Handwritten Digits, 1998",)

    def load(self, directory: Path, download: bool = False) -> Images:
        del directory, download
        pixels, labels = _read()
        is_test = torch.arange(len(pixels)) % 5 == 0
        return Images(
            train=pixels[~is_test],
            test=pixels[is_test],
            size=(8, 8),
            levels=16,
            train_labels=labels[~is_test],
            test_labels=labels[is_test],
        )


def _read() -> tuple[Tensor, Tensor]:
    """Read grey levels ``[N, 64]`` uint8 and classes ``[N]`` int64.

    They are read from scikit-learn's file if it is found: importing the package takes a second.
    """
    package = find_spec("sklearn")
    for directory in (package and package.submodule_search_locations) or ():
        file = Path(directory, "datasets", "data", "digits.csv.gz")
        if file.is_file():
            with gzip.open(file, "rt") as lines:
                table = torch.from_numpy(np.loadtxt(lines, delimiter=",", dtype=np.uint8))
            return table[:, :-1].contiguous(), table[:, -1].long()
    return _by_import()


def _by_import() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return torch.from_numpy(digits.data).to(torch.uint8), torch.from_numpy(digits.target).long()
