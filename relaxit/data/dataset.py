"""Interface of data sets: named sources of examples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from relaxit.data.splits import Splits
from relaxit.options import Configured

__all__ = ["Dataset"]


class Dataset(Configured, ABC):
    """A named source of examples. A plugin implements :meth:`load`.

    Attributes:
        files: whether it reads files that the user must provide or download.
        noun: what its examples are called in messages, in the plural.
    """

    kind: ClassVar[str] = "dataset"
    files: ClassVar[bool] = False
    noun: ClassVar[str] = "examples"

    @abstractmethod
    def load(self, directory: Path, download: bool = False) -> Splits:
        """Load all examples, on the CPU.

        Args:
            directory: directory of the data files, also for downloads.
            download: whether missing files may be downloaded.

        Raises:
            DataError: if a file is missing, truncated, or not in the expected format.
        """
