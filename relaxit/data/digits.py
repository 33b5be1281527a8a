"""The handwritten digits that come with scikit-learn: real data without a download."""

from __future__ import annotations

from pathlib import Path

import torch

from relaxit.data.dataset import Dataset, Images

__all__ = ["Digits"]


class Digits(Dataset):
    """1797 digits of 8x8 pixels in 17 grey levels; every fifth one is the test part.

    The set has no official split. Taking every fifth image mixes its writers evenly.

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

    def load(self, folder: Path, download: bool = False) -> Images:
        del folder, download
        from sklearn.datasets import load_digits

        found = load_digits()
        pixels = torch.from_numpy(found.data).to(torch.uint8)
        labels = torch.from_numpy(found.target).to(torch.int64)
        held = torch.arange(len(pixels)) % 5 == 0
        return Images(
            train=pixels[~held],
            test=pixels[held],
            size=(8, 8),
            levels=16,
            train_labels=labels[~held],
            test_labels=labels[held],
        )
