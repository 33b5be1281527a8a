"""The function ``gumbel_softmax``: relaxit's beside PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch.nn.functional import gumbel_softmax

from relaxit import Options
from relaxit.bench import Benchmark, Implementation, Needs
from relaxit.categorical import functional
from relaxit.categorical.benchmarks.implementations import (
    FLOAT_BYTES,
    OURS,
    backward,
    eager_and_compiled,
)

__all__ = ["GumbelSoftmaxFunction"]


class FunctionSizes(Options):
    """Arguments of the function; by default those of a VAE with 30 latents of 10 categories."""

    shape: tuple[int, ...] = Field(default=(100, 30, 10), description="shape of logits")
    dim: int = Field(default=-1, description="dimension of the categories")
    tau: float = Field(default=0.5, gt=0, description="temperature")
    hard: bool = Field(default=False, description="whether to return one-hot vectors")


class GumbelSoftmaxFunction(Benchmark):
    """``relaxit.gumbel_softmax`` beside PyTorch's function, forward and backward."""

    api = 1
    name = "gumbel-softmax-function"
    summary = "the function gumbel_softmax, forward and backward"
    structure = "categorical"
    group = "structures"
    Options = FunctionSizes
    options: FunctionSizes
    references: ClassVar[tuple[str, ...]] = ("arXiv:1611.01144 (Gumbel-softmax), eq. 2",)
    presets: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"shape": (1, 10)},
        {"shape": (32, 10)},
        {"shape": (4096, 8)},
        {"shape": (128, 512)},
        {"shape": (64, 1000)},
        {"shape": (16, 32_000)},
        {"shape": (8, 64, 32, 32), "dim": 1},  # codes of an image
    )

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        shape = (2, *self.options.shape)
        logits, arriving = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
        make, arguments = backward(logits, arriving), dict(self.options)
        del arguments["shape"]
        return [
            *eager_and_compiled(
                "F.gumbel_softmax",
                make,
                lambda x: gumbel_softmax(x, **arguments),
                "PyTorch",
                "torch",
                reference=True,
            ),
            *eager_and_compiled(
                "relaxit.gumbel_softmax",
                make,
                lambda x: functional.gumbel_softmax(x, **arguments),
                OURS,
                "",
            ),
        ]

    def needs(self, device: torch.device) -> Needs:
        """Logits, incoming gradient and sample are read; sample and gradient are written."""
        entries = math.prod(self.options.shape)
        return Needs(bytes=5 * FLOAT_BYTES * entries, random_numbers=entries, launches=2)
