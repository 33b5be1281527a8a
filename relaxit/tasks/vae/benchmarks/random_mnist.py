"""Images for a benchmark without the MNIST files: random ones, in files of the same format."""

from __future__ import annotations

import contextlib
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["mnist_files", "write_random"]

_SIDE = 28


@contextlib.contextmanager
def mnist_files(directory: Path | None) -> Iterator[Path]:
    """Yield a directory of MNIST files: the given one, or a temporary one with random images.

    Args:
        directory: directory that has ``MNIST/raw``; None for random images.
    """
    if directory is not None:
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="relaxit-images-") as name:
        write_random(Path(name))
        yield Path(name)


def write_random(directory: Path, train: int = 60_000, test: int = 10_000) -> None:
    """Write uniform grey levels and classes, as many as MNIST has, in its format.

    A step takes as long as with digits, with one exception: digits have pixels that are always
    black, whose Adam moments fall below the smallest normal number, where a CPU is slow.

    Args:
        directory: directory in which ``MNIST/raw`` is created.
        train: number of training images.
        test: number of test images.

    Reference: LeCun, Bottou, Bengio, Haffner, Proc. IEEE 86(11), 1998 (the idx format).
    """
    raw = directory / "MNIST" / "raw"
    raw.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for part, count in (("train", train), ("t10k", test)):
        images = torch.randint(256, (count, _SIDE, _SIDE), generator=generator)
        labels = torch.randint(10, (count,), generator=generator)
        _write(raw / f"{part}-images-idx3-ubyte", images)
        _write(raw / f"{part}-labels-idx1-ubyte", labels)


def _write(path: Path, values: Tensor) -> None:
    head = struct.pack(f">HBB{values.dim()}I", 0, 8, values.dim(), *values.shape)
    path.write_bytes(head + values.to(torch.uint8).numpy().tobytes())
