"""What the benchmarks of categories share: sizes, inputs, and the calls that are timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from relaxit import Options, RelaxedDistribution
from relaxit.bench import Benchmark, Implementation
from relaxit.categorical.categorical import Categorical

__all__ = [
    "CHECKED",
    "FLOAT_BYTES",
    "OURS",
    "CategoricalBenchmark",
    "CategoricalSizes",
    "Draw",
    "Make",
    "backward",
    "eager_and_compiled",
]

Draw = Callable[[Tensor], Tensor]
"""Function from logits to a sample of the same shape."""

Make = Callable[[Draw], Callable[[], Tensor | tuple[Tensor, ...]]]
"""Function from a sampler to the call that is timed."""

FLOAT_BYTES = 4

CHECKED = "PyTorch, with argument checks"
OURS = "parameters checked on the CPU"
"""Notes of implementations."""


class CategoricalSizes(Options):
    """Sizes of the benchmarks; by default those of a VAE with 30 latents of 10 categories."""

    batch: int = Field(default=4096, ge=1, description="number of rows (images) in a batch")
    latents: int = Field(default=30, ge=1, description="number of variables per row")
    categories: int = Field(default=10, ge=2, description="number of categories K per variable")
    temperature: float = Field(
        default=1.0,
        gt=0,
        description="temperature; exact draws do not depend on it",
    )


class CategoricalBenchmark(Benchmark):
    """Shared by the benchmarks: sizes, inputs, and the list of implementations."""

    structure = "categorical"
    group = "sampling"
    Options = CategoricalSizes
    options: CategoricalSizes
    references: ClassVar[tuple[str, ...]] = (
        "arXiv:1611.00712 (Concrete), eq. 10",
        "arXiv:1611.01144 (Gumbel-softmax), eq. 2",
    )
    presets: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"batch": 1024, "latents": 1, "categories": 1000},
        {"batch": 64, "latents": 1, "categories": 32_000},
        {"batch": 100},  # one step of a VAE, where the overhead per call matters most
    )

    def inputs(self, device: torch.device) -> tuple[Tensor, ...]:
        """Return logits and the incoming gradient of the sample, both ``[batch, latents, K]``."""
        sizes = self.options
        shape = (2, sizes.batch, sizes.latents, sizes.categories)
        logits, arriving = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
        return logits, arriving

    @property
    def variables(self) -> int:
        return self.options.batch * self.options.latents

    @property
    def entries(self) -> int:
        return self.variables * self.options.categories

    @property
    def distribution(self) -> Callable[[Tensor], RelaxedDistribution]:
        """Function from logits to our relaxed distribution."""
        relaxation = Categorical(categories=self.options.categories)
        temperature = self.options.temperature
        return lambda logits: relaxation(logits, temperature)


def backward(logits: Tensor, arriving: Tensor) -> Make:
    """Return a function that makes a call that draws and runs the backward pass."""
    logits.requires_grad_()

    def make(draw: Draw) -> Callable[[], tuple[Tensor, Tensor]]:
        def call() -> tuple[Tensor, Tensor]:
            drawn = draw(logits)
            (gradient,) = torch.autograd.grad(drawn, logits, arriving)
            return drawn, gradient

        return call

    return make


def eager_and_compiled(
    name: str, make: Make, draw: Draw, note: str, baseline: str, reference: bool = False
) -> list[Implementation]:
    """Return a sampler and its compiled version."""
    eager = Implementation(name, lambda: make(draw), note, reference=reference, baseline=baseline)
    return [
        eager,
        _compiled(name, make, draw, note.partition(",")[0] if baseline else "", baseline),
    ]


def _compiled(name: str, make: Make, draw: Draw, note: str, baseline: str) -> Implementation:
    return Implementation(
        f"{name} compiled",
        lambda: make(torch.compile(draw, fullgraph=True)),
        note,
        compiled=True,
        baseline=baseline,
    )
