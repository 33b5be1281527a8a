"""The built-in data sets."""

from __future__ import annotations

from typing import Any

from relaxit.hooks import hookimpl

__all__ = ["relaxit_datasets"]


@hookimpl
def relaxit_datasets() -> list[type[Any]]:
    from relaxit.data.digits import Digits
    from relaxit.data.mnist import FashionMnist, Kmnist, Mnist
    from relaxit.data.table import Table
    from relaxit.data.text import Text

    return [Digits, Mnist, FashionMnist, Kmnist, Text, Table]
