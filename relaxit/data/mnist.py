"""MNIST and its relatives, read by torchvision."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, ClassVar

from relaxit.data.dataset import Dataset
from relaxit.data.examples import Examples
from relaxit.data.images import ImageOptions, ImageReader
from relaxit.data.splits import Splits
from relaxit.errors import DataError, error_summary

__all__ = ["FashionMnist", "Kmnist", "Mnist", "torchvision_problem"]


class _Idx(Dataset):
    """A data set in the idx format, in ``DIRECTORY/<torchvision class>/raw``."""

    files = True
    noun = "images"
    Options = ImageOptions
    options: ImageOptions
    torchvision_name: ClassVar[str]

    def load(self, directory: Path, download: bool = False) -> Splits:
        kind = _torchvision_class(self.torchvision_name)
        try:
            parts = [kind(str(directory), train=part, download=download) for part in (True, False)]
            train, test = (part.data for part in parts)
            labels = [part.targets for part in parts]
        except Exception as error:  # torchvision may raise any error of its parser
            raise DataError(self._diagnose(directory, download, error)) from error
        if train.dim() != 3 or train.shape[1:] != test.shape[1:] or not len(train) or not len(test):
            raise DataError(
                f"{self.name}: images of shape {list(train.shape)} and {list(test.shape)} in "
                f"{directory}, expected [N, height, width] for both"
            )
        reader = ImageReader(255, self.options.binarise)
        return Splits(
            Examples({"inputs": train, "targets": labels[0]}, reader),
            Examples({"inputs": test, "targets": labels[1]}, reader),
        )

    def _diagnose(self, directory: Path, download: bool, error: Exception) -> str:
        raw = directory / self.torchvision_name / "raw"
        files = sorted(raw.glob("*-ubyte")) if raw.is_dir() else []
        for path in files:
            expected, size = _promised_bytes(path), path.stat().st_size
            if expected != size:
                return (
                    f"{path} is truncated or damaged: expected {expected} bytes, found {size}. "
                    "Delete it and run again with --download"
                )
        if download:
            return f"{self.name} could not be downloaded to {directory}: {error_summary(error)}"
        if len(files) < 4:  # two of images, two of labels
            lacks = f"has only {len(files)} of its 4 files" if files else "is not"
            return (
                f"{self.name} {lacks} in {raw}. Get it with: relaxit train --dataset {self.name} "
                f"--data-dir {directory} --download (needs the network); or use --dataset digits, "
                "which needs no download"
            )
        return f"{self.name} in {raw} cannot be read: {error_summary(error)}"


class Mnist(_Idx):
    """60 000 training and 10 000 test digits, 28x28 grey levels."""

    api = 2
    name = "mnist"
    summary = "70 000 handwritten digits, 28x28"
    references = ("LeCun, Bottou, Bengio, Haffner, Proc. IEEE 86(11), 1998",)
    torchvision_name = "MNIST"


class FashionMnist(_Idx):
    """Images of clothing in MNIST's format."""

    api = 2
    name = "fashion-mnist"
    summary = "70 000 images of clothing, 28x28"
    references = ("arXiv:1708.07747",)
    torchvision_name = "FashionMNIST"


class Kmnist(_Idx):
    """Cursive Japanese characters in MNIST's format."""

    api = 2
    name = "kmnist"
    summary = "70 000 cursive Japanese characters, 28x28"
    references = ("arXiv:1812.01718",)
    torchvision_name = "KMNIST"


def torchvision_problem() -> str:
    """Return why torchvision cannot be imported with this torch; empty if it can."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError) as error:  # operators of another torch: RuntimeError
        return (
            f"torchvision cannot be imported with this torch ({error_summary(error)}): "
            "reinstall both together, as a pair"
        )
    return ""


def _torchvision_class(name: str) -> Any:
    problem = torchvision_problem()
    if problem:
        raise DataError(f"{problem}. --dataset digits works without it")
    from torchvision import datasets

    return getattr(datasets, name)


def _promised_bytes(path: Path) -> int:
    """Return the size of an idx file of bytes according to its header; 16 if that is incomplete."""
    head = path.read_bytes()[:16]
    dims = head[3] if len(head) > 3 else 0
    if not 1 <= dims <= 3 or len(head) < 4 + 4 * dims:
        return 16
    count = 1
    for size in struct.unpack(f">{dims}I", head[4 : 4 + 4 * dims]):
        count *= size
    return 4 + 4 * dims + count
