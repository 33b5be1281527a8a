"""Data sets: examples kept in memory as stored, and fetched by index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.data.dataset import Dataset as Dataset
    from relaxit.data.digits import Digits as Digits
    from relaxit.data.examples import Examples as Examples
    from relaxit.data.examples import Reader as Reader
    from relaxit.data.examples import pad as pad
    from relaxit.data.images import Binarise as Binarise
    from relaxit.data.images import ImageOptions as ImageOptions
    from relaxit.data.images import ImageReader as ImageReader
    from relaxit.data.images import read_images as read_images
    from relaxit.data.mnist import FashionMnist as FashionMnist
    from relaxit.data.mnist import Kmnist as Kmnist
    from relaxit.data.mnist import Mnist as Mnist
    from relaxit.data.mnist import torchvision_problem as torchvision_problem
    from relaxit.data.requirements import Requirement as Requirement
    from relaxit.data.requirements import check_columns as check_columns
    from relaxit.data.splits import ColumnFormat as ColumnFormat
    from relaxit.data.splits import Format as Format
    from relaxit.data.splits import PartName as PartName
    from relaxit.data.splits import Splits as Splits
    from relaxit.data.table import Table as Table
    from relaxit.data.text import CHARACTERS as CHARACTERS
    from relaxit.data.text import Text as Text
    from relaxit.data.text import decode_text as decode_text
    from relaxit.data.text import encode_text as encode_text

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.data.dataset": ["Dataset"],
        "relaxit.data.digits": ["Digits"],
        "relaxit.data.examples": ["Examples", "Reader", "pad"],
        "relaxit.data.images": ["Binarise", "ImageOptions", "ImageReader", "read_images"],
        "relaxit.data.mnist": ["FashionMnist", "Kmnist", "Mnist", "torchvision_problem"],
        "relaxit.data.requirements": ["Requirement", "check_columns"],
        "relaxit.data.splits": ["ColumnFormat", "Format", "PartName", "Splits"],
        "relaxit.data.table": ["Table"],
        "relaxit.data.text": ["CHARACTERS", "Text", "decode_text", "encode_text"],
    },
)
