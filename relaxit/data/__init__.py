"""Data sets: pictures held in memory as they are stored, fetched by index."""

from __future__ import annotations

from typing import Any

from relaxit.hookspecs import hookimpl

__all__ = ["relaxit_datasets"]


@hookimpl
def relaxit_datasets() -> list[type[Any]]:
    from relaxit.data.digits import Digits
    from relaxit.data.vision import FashionMnist, Kmnist, Mnist

    return [Digits, Mnist, FashionMnist, Kmnist]
