"""Data sets: images kept in memory as stored, and fetched by index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.data.batches import Binarise as Binarise
    from relaxit.data.batches import read_batch as read_batch
    from relaxit.data.dataset import Dataset as Dataset
    from relaxit.data.dataset import Format as Format
    from relaxit.data.dataset import Images as Images
    from relaxit.data.dataset import Part as Part
    from relaxit.data.dataset import PartName as PartName
    from relaxit.data.digits import Digits as Digits
    from relaxit.data.mnist import FashionMnist as FashionMnist
    from relaxit.data.mnist import Kmnist as Kmnist
    from relaxit.data.mnist import Mnist as Mnist
    from relaxit.data.mnist import torchvision_problem as torchvision_problem

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.data.batches": ["Binarise", "read_batch"],
        "relaxit.data.dataset": ["Dataset", "Format", "Images", "PartName", "Part"],
        "relaxit.data.digits": ["Digits"],
        "relaxit.data.mnist": ["FashionMnist", "Kmnist", "Mnist", "torchvision_problem"],
    },
)
