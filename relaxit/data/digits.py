"""The handwritten digits that come with scikit-learn: real data without a download."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from relaxit.data.dataset import Dataset
from relaxit.data.examples import Examples
from relaxit.data.images import ImageOptions, ImageReader
from relaxit.data.splits import Splits

__all__ = ["Digits"]


class Digits(Dataset):
    """1797 digits of 8x8 pixels in 17 grey levels; every fifth image is in the test part.

    The set has no official split. Every fifth image gives an even mix of its writers.

    Example:
        >>> from pathlib import Path
        >>> digits = Digits().load(Path())
        >>> digits.train.inputs.shape, digits.test.inputs.shape, digits.format.targets.classes
        (torch.Size([1437, 8, 8]), torch.Size([360, 8, 8]), 10)
        >>> digits.train.read().inputs.amax()  # stored as grey levels from 0 to 16
        tensor(1.)

    Reference: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
    """

    api = 2
    name = "digits"
    summary = "1797 handwritten digits, 8x8, bundled with scikit-learn: no download"
    references = ("UCI Optical Recognition of Handwritten Digits, 1998",)
    noun = "images"
    Options = ImageOptions
    options: ImageOptions

    def load(self, directory: Path, download: bool = False) -> Splits:
        del directory, download
        pixels, labels = _read()
        reader = ImageReader(16, self.options.binarise)
        digits = Examples({"inputs": pixels.unflatten(1, (8, 8)), "targets": labels}, reader)
        is_test = torch.arange(len(pixels)) % 5 == 0
        return Splits(digits.take(_rows(~is_test)), digits.take(_rows(is_test)))


def _rows(chosen: Tensor) -> Tensor:
    return chosen.nonzero().squeeze(1)


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
