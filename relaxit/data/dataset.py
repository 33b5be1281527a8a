"""What a data set is: pictures in memory, perhaps with labels, in a training and a test part."""

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
    """What the pictures of a set have in common; a model is sized from it.

    Attributes:
        size: height and width in pixels.
        levels: the stored value that means 1.
        classes: one more than the largest label; 0 where there are no labels.
    """

    size: tuple[int, int]
    levels: int = 255
    classes: int = 0

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]


@dataclass(frozen=True, slots=True)
class Part:
    """Stored pictures: a part of a data set, or a batch of one.

    Attributes:
        images: ``[N, P]`` uint8, or float32 in [0, 1].
        levels: the stored value that means 1.
        labels: ``[N]`` int64; None unless they were asked for.

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
        """The pictures at ``index`` ``[B]``, on their device, with their labels."""
        labels = None if self.labels is None else self.labels.index_select(0, index)
        return Part(self.images.index_select(0, index), self.levels, labels)

    def split(self, rows: int) -> Iterator[Part]:
        """All of it in order, at most ``rows`` pictures at a time."""
        for start in range(0, len(self), rows):
            labels = None if self.labels is None else self.labels[start : start + rows]
            yield Part(self.images[start : start + rows], self.levels, labels)


@dataclass(frozen=True)
class Images:
    """Pictures as stored, one row of pixels each. Labels are optional: all parts or none.

    Rows are uint8, or float32 in [0, 1] where grey levels are too coarse; then ``levels`` is 1.

    Attributes:
        train: ``[N, height * width]``.
        test: ``[M, height * width]``. Only ever reported, never chosen by.
        validation: ``[V, height * width]``, held out of the training part; may be empty.
        size: height and width in pixels.
        levels: the value that means white.
        train_labels: classes of the training pictures, ``[N]`` uint8 or int64, from 0.
        test_labels: the same of the test pictures, ``[M]``.
        validation_labels: the same of the validation pictures, ``[V]``.

    Raises:
        DataError: if rows are of another dtype or of two, or float32 outside [0, 1]; if there are
            not as many labels as pictures, or one is no whole number from 0.

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
                raise DataError(f"the {count} {name} pictures have no labels, other parts have")
            if labels is not None and labels.shape != (count,):
                raise DataError(f"labels of shape {list(labels.shape)} for {count} {name} pictures")
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
        """What the pictures have in common. Reads the labels, so waits for their device."""
        labels = [labels for name in _NAMES if (labels := self._labels(name)) is not None]
        classes = max((1 + int(each.max()) for each in labels if len(each)), default=0)
        return Format(self.size, self.levels, classes)

    def part(self, name: PartName, labels: bool = False) -> Part:
        """One part, with labels if they are asked for and there are any."""
        found = self._labels(name) if labels else None
        return Part(self._images(name), self.levels, None if found is None else found.long())

    def hold_out(self, count: int) -> Images:
        """Move ``count`` training images, always the same ones, to the validation part.

        Raises:
            ConfigurationError: if nothing would be left to train on.
        """
        total = len(self.train)
        if count >= total:
            raise ConfigurationError(
                f"data.validation (--validation): {count} of {total} training images held out "
                "leaves none to train on"
            )
        order = torch.randperm(total, generator=torch.Generator().manual_seed(0))
        held, kept, labels = order[:count], order[count:], self.train_labels
        return replace(
            self,
            train=self.train[kept],
            validation=self.train[held],
            train_labels=None if labels is None else labels[kept],
            validation_labels=None if labels is None else labels[held],
        )

    def to(self, device: torch.device) -> Images:
        """The same pictures on a device, where they stay for the run."""
        moved: dict[str, Tensor] = {}
        for name in _NAMES:
            moved[name] = self._images(name).to(device)
            if (labels := self._labels(name)) is not None:
                moved[f"{name}_labels"] = labels.to(device)
        return replace(self, **moved)  # type: ignore[arg-type]

    def _check_images(self, name: PartName, images: Tensor) -> None:
        """Refuse rows that would not be read as numbers in [0, 1]."""
        dtype = images.dtype
        if dtype not in (torch.uint8, torch.float32):
            raise DataError(f"{name} pictures are of {dtype}, expected torch.uint8 or float32")
        if dtype != self.train.dtype:
            raise DataError(f"{name} pictures are of {dtype}, training ones of {self.train.dtype}")
        if dtype == torch.uint8:
            return
        if self.levels != 1:
            raise DataError(f"float32 pictures are in [0, 1]: levels must be 1, got {self.levels}")
        least, most = images.min().item(), images.max().item()
        if not (least >= 0 and most <= 1):  # also where one of them is NaN
            raise DataError(f"{name} pictures go from {least} to {most}, expected [0, 1]")

    def _images(self, name: PartName) -> Tensor:
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def _labels(self, name: PartName) -> Tensor | None:
        return {
            "train": self.train_labels,
            "validation": self.validation_labels,
            "test": self.test_labels,
        }[name]


def _check_labels(name: str, labels: Tensor) -> None:
    """Refuse labels that are no numbers of classes."""
    if labels.dtype not in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        raise DataError(f"{name} labels are of {labels.dtype}, expected whole numbers from 0")
    least, most = int(labels.min()), int(labels.max())
    if least < 0 or most >= _MOST_CLASSES:
        raise DataError(
            f"{name} labels go from {least} to {most}, expected 0 to {_MOST_CLASSES - 1} at most"
        )


class Dataset(Configured, ABC):
    """A named source of pictures. A plugin writes :meth:`load`.

    Attributes:
        files: whether it reads files that the user must have (or download).
    """

    kind: ClassVar[str] = "dataset"
    files: ClassVar[bool] = False

    @abstractmethod
    def load(self, directory: Path, download: bool = False) -> Images:
        """All pictures.

        Args:
            directory: where the files lie, or are put.
            download: whether the network may be used.

        Raises:
            DataError: if a file is missing, truncated, or not what it claims to be.
        """
