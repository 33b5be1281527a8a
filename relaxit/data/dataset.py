"""Interface of data sets: images in memory, optionally with labels, in training and test parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from relaxit.errors import ConfigurationError, DataError
from relaxit.options import Configured

__all__ = ["Dataset", "Format", "Images", "Part"]

PartName = Literal["train", "validation", "test"]
_MOST_CLASSES = 1_000_000
_NAMES: tuple[PartName, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Format:
    """The common properties of the images of a data set, from which a model is built.

    Attributes:
        size: height and width in pixels.
        levels: the stored value that means 1.
        classes: number of classes, the largest label plus 1; 0 without labels.
    """

    size: tuple[int, int]
    levels: int = 255
    classes: int = 0

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]


@dataclass(frozen=True, slots=True)
class Part:
    """Stored images: a part of a data set, or a batch of it.

    Attributes:
        images: images ``[N, P]``, uint8, or float32 in [0, 1].
        levels: the stored value that means 1.
        labels: labels ``[N]`` int64; None unless they were requested.

    Example:
        >>> part = Part(torch.eye(3, dtype=torch.uint8), 1, torch.tensor([2, 0, 1]))
        >>> part.take(torch.tensor([2, 0])).labels
        tensor([1, 2])
        >>> [len(batch) for batch in part.split(2)]
        [2, 1]
    """

    images: Tensor
    levels: int
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: Tensor) -> Part:
        """Return the images at ``index`` ``[B]``, which is on their device, with their labels."""
        labels = None if self.labels is None else self.labels.index_select(0, index)
        return Part(self.images.index_select(0, index), self.levels, labels)

    def split(self, rows: int) -> Iterator[Part]:
        """Iterate over all images in order, in batches of at most ``rows``."""
        for start in range(0, len(self), rows):
            labels = None if self.labels is None else self.labels[start : start + rows]
            yield Part(self.images[start : start + rows], self.levels, labels)


@dataclass(frozen=True)
class Images:
    """Images as stored, one row of pixels per image. Either all parts have labels or none has.

    Rows are uint8, or float32 in [0, 1] where 256 grey levels are too coarse; then ``levels`` is 1.

    Attributes:
        train: training images ``[N, height * width]``.
        test: test images ``[M, height * width]``, only for reported results, not for choices.
        validation: images ``[V, height * width]`` held out of the training part; may be empty.
        size: height and width in pixels.
        levels: the stored value that means 1.
        train_labels: classes of the training images, ``[N]`` uint8 or int64, from 0.
        test_labels: classes of the test images, ``[M]``.
        validation_labels: classes of the validation images, ``[V]``.

    Raises:
        DataError: if the dtype of rows is not supported or differs between parts, or if float32
            rows are outside [0, 1]; if there are not as many labels as images, or a label is not a
            non-negative integer.

    Example:
        >>> numbers = torch.tensor([[0.25], [0.5], [0.75]])
        >>> Images(numbers[:2], numbers[2:], size=(1, 1), levels=1).format
        Format(size=(1, 1), levels=1, classes=0)
    """

    train: Tensor
    test: Tensor
    size: tuple[int, int]
    levels: int = 255
    validation: Tensor = field(default_factory=lambda: torch.empty(0, 0, dtype=torch.uint8))
    train_labels: Tensor | None = None
    test_labels: Tensor | None = None
    validation_labels: Tensor | None = None

    def __post_init__(self) -> None:
        for name in _NAMES:
            if (images := self._images(name)).numel():
                self._check_images(name, images)
            labels, count = self._labels(name), len(self._images(name))
            if labels is None and self.labelled and count:
                raise DataError(f"the {count} {name} images have no labels, but other parts have")
            if labels is not None and labels.shape != (count,):
                raise DataError(f"labels of shape {list(labels.shape)} for {count} {name} images")
            if labels is not None and count:
                _check_labels(name, labels)

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]

    @property
    def labelled(self) -> bool:
        return any(self._labels(name) is not None for name in _NAMES)

    @property
    def format(self) -> Format:
        """The format of the images. Reads the labels, and so synchronises their device."""
        labels = [labels for name in _NAMES if (labels := self._labels(name)) is not None]
        classes = max((1 + int(part.max()) for part in labels if len(part)), default=0)
        return Format(self.size, self.levels, classes)

    def part(self, name: PartName, labels: bool = False) -> Part:
        """Return one part, with labels if they are requested and present."""
        classes = self._labels(name) if labels else None
        return Part(self._images(name), self.levels, None if classes is None else classes.long())

    def hold_out(self, count: int) -> Images:
        """Move ``count`` training images, always the same ones, to the validation part.

        Raises:
            ConfigurationError: if no training images would be left.
        """
        total = len(self.train)
        if count >= total:
            raise ConfigurationError(
                f"data.validation (--validation): holding out {count} of {total} training "
                "examples leaves none to train on"
            )
        order = torch.randperm(total, generator=torch.Generator().manual_seed(0))
        held_out, remaining, labels = order[:count], order[count:], self.train_labels
        return replace(
            self,
            train=self.train[remaining],
            validation=self.train[held_out],
            train_labels=None if labels is None else labels[remaining],
            validation_labels=None if labels is None else labels[held_out],
        )

    def to(self, device: torch.device) -> Images:
        """Return the same images on a device, where they stay for the whole run."""
        moved: dict[str, Tensor] = {}
        for name in _NAMES:
            moved[name] = self._images(name).to(device)
            if (labels := self._labels(name)) is not None:
                moved[f"{name}_labels"] = labels.to(device)
        return replace(self, **moved)  # type: ignore[arg-type]

    def _check_images(self, name: PartName, images: Tensor) -> None:
        """Check that rows can be read as numbers in [0, 1]."""
        dtype = images.dtype
        if dtype not in (torch.uint8, torch.float32):
            raise DataError(f"{name} images are of {dtype}, expected torch.uint8 or float32")
        if dtype != self.train.dtype:
            raise DataError(f"{name} images are of {dtype}, training images of {self.train.dtype}")
        if dtype == torch.uint8:
            return
        if self.levels != 1:
            raise DataError(f"float32 images are in [0, 1]: levels must be 1, got {self.levels}")
        least, most = images.min().item(), images.max().item()
        if not (least >= 0 and most <= 1):  # also where one of them is NaN
            raise DataError(f"{name} images range from {least} to {most}, expected [0, 1]")

    def _images(self, name: PartName) -> Tensor:
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def _labels(self, name: PartName) -> Tensor | None:
        return {
            "train": self.train_labels,
            "validation": self.validation_labels,
            "test": self.test_labels,
        }[name]


def _check_labels(name: str, labels: Tensor) -> None:
    """Check that labels are class numbers."""
    if labels.dtype not in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        raise DataError(f"{name} labels are of {labels.dtype}, expected integers from 0")
    least, most = int(labels.min()), int(labels.max())
    if least < 0 or most >= _MOST_CLASSES:
        raise DataError(
            f"{name} labels range from {least} to {most}, expected 0 to at most {_MOST_CLASSES - 1}"
        )


class Dataset(Configured, ABC):
    """A named source of images. A plugin implements :meth:`load`.

    Attributes:
        files: whether it reads files that the user must provide or download.
        noun: what its examples are called in messages, in the plural.
    """

    kind: ClassVar[str] = "dataset"
    files: ClassVar[bool] = False
    noun: ClassVar[str] = "images"

    @abstractmethod
    def load(self, directory: Path, download: bool = False) -> Images:
        """Load all images.

        Args:
            directory: directory of the data files, also for downloads.
            download: whether missing files may be downloaded.

        Raises:
            DataError: if a file is missing, truncated, or not in the expected format.
        """
