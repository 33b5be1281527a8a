"""Small sets of random images in the format of the MNIST files."""

import struct
from pathlib import Path

import torch


def write_idx(path: Path, values: torch.Tensor) -> None:
    head = struct.pack(f">HBB{values.dim()}I", 0, 8, values.dim(), *values.shape)
    path.write_bytes(head + values.to(torch.uint8).numpy().tobytes())


def write_set(directory: Path, name: str, train: int = 7, test: int = 3, side: int = 28) -> Path:
    raw = directory / name / "raw"
    raw.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for part, count in (("train", train), ("t10k", test)):
        pixels = torch.randint(0, 256, (count, side, side), generator=generator)
        write_idx(raw / f"{part}-images-idx3-ubyte", pixels)
        write_idx(raw / f"{part}-labels-idx1-ubyte", torch.arange(count) % 10)
    return raw
