"""What a data set is: pictures in memory, with a training and a test part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from relaxit.errors import ConfigurationError
from relaxit.options import Configured

__all__ = ["Dataset", "Images"]


@dataclass(frozen=True)
class Images:
    """Pictures as stored: uint8, one row of pixels each.

    Attributes:
        train: ``[N, height * width]`` uint8.
        test: ``[M, height * width]`` uint8. Only ever reported, never chosen by.
        validation: ``[V, height * width]`` uint8, held out of the training part; may be empty.
        size: height and width in pixels.
        levels: the value that means white.
    """

    train: Tensor
    test: Tensor
    size: tuple[int, int]
    levels: int = 255
    validation: Tensor = field(default_factory=lambda: torch.empty(0, 0, dtype=torch.uint8))

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]

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
        return Images(
            train=self.train[order[count:]],
            test=self.test,
            size=self.size,
            levels=self.levels,
            validation=self.train[order[:count]],
        )

    def to(self, device: torch.device) -> Images:
        """The same pictures on a device, where they stay for the run."""
        return Images(
            self.train.to(device),
            self.test.to(device),
            self.size,
            self.levels,
            self.validation.to(device),
        )


class Dataset(Configured, ABC):
    """A named source of pictures. A plugin writes :meth:`load`.

    Attributes:
        files: whether it reads files that the user must have (or download).
    """

    kind: ClassVar[str] = "dataset"
    files: ClassVar[bool] = False

    @abstractmethod
    def load(self, folder: Path, download: bool = False) -> Images:
        """All pictures.

        Args:
            folder: where the files lie, or are put.
            download: whether the network may be used.

        Raises:
            DataError: if a file is missing, truncated, or not what it claims to be.
        """
