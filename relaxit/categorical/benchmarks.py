"""Categorical draws: relaxit's beside what PyTorch has of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import OneHotCategorical, RelaxedOneHotCategorical
from torch.nn.functional import gumbel_softmax

from relaxit import Options
from relaxit.bench import Benchmark, Contender
from relaxit.categorical.relaxation import Categorical

__all__ = ["CategoricalHard", "CategoricalSample"]

_TEMPERATURE = 0.5


class CategoricalSizes(Options):
    """Sizes of both benchmarks; by default those of a VAE with 30 latents of 10 categories."""

    batch: int = Field(default=4096, ge=1, description="rows: pictures in a batch")
    latents: int = Field(default=30, ge=1, description="variables in a row")
    categories: int = Field(default=10, ge=2, description="values K of a variable")


class CategoricalSample(Benchmark):
    """A soft draw and its backward pass: value and gradient, both ``[batch, latents, K]``.

    The contenders draw noise of their own, so there is no answer to compare with.
    """

    api = 1
    name = "categorical-sample"
    structure = "categorical"
    summary = "soft draw of categorical variables, forward and backward"
    Options = CategoricalSizes
    references = ("arXiv:1611.00712 (Concrete), eq. 10", "arXiv:1611.01144 (Gumbel-softmax), eq. 2")

    def inputs(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Logits, and the gradient that arrives at the draw."""
        sizes = self.options
        shape = (2, sizes.batch, sizes.latents, sizes.categories)
        logits, arriving = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
        return logits, arriving

    def contenders(self, device: torch.device) -> Sequence[Contender]:
        logits, arriving = self.inputs(device)
        logits.requires_grad_()
        relaxation = Categorical(categories=self.options.categories)

        def relaxed(params: Tensor) -> Tensor:
            return relaxation(params, _TEMPERATURE).rsample()

        def softmax(params: Tensor) -> Tensor:
            return gumbel_softmax(params, _TEMPERATURE)

        def law(params: Tensor) -> Tensor:
            # torch.compile turns this check off for the whole process, so it is asked for.
            temperature = params.new_tensor(_TEMPERATURE)
            return RelaxedOneHotCategorical(
                temperature, logits=params, validate_args=True
            ).rsample()

        def make(draw: Callable[[Tensor], Tensor]) -> Callable[[], tuple[Tensor, Tensor]]:
            def call() -> tuple[Tensor, Tensor]:
                soft = draw(logits)
                (gradient,) = torch.autograd.grad(soft, logits, arriving)
                return soft, gradient

            return call

        def make_compiled(draw: Callable[[Tensor], Tensor]) -> Callable[[], tuple[Tensor, Tensor]]:
            return make(torch.compile(draw, fullgraph=True))

        return [
            Contender("gumbel_softmax", lambda: make(softmax), "PyTorch", reference=True),
            Contender("RelaxedOneHotCategorical", lambda: make(law), "PyTorch, arguments checked"),
            Contender("relaxit", lambda: make(relaxed), "parameters checked on the CPU"),
            Contender(
                "gumbel_softmax compiled", lambda: make_compiled(softmax), "PyTorch", compiled=True
            ),
            Contender("relaxit compiled", lambda: make_compiled(relaxed), compiled=True),
        ]


class CategoricalHard(Benchmark):
    """An exact discrete draw, one-hot ``[batch, latents, K]``, without gradient.

    All rows have the same logits, so that the mean over rows can be compared with the exact
    probabilities.
    """

    api = 1
    name = "categorical-hard"
    structure = "categorical"
    summary = "exact one-hot draw of categorical variables"
    Options = CategoricalSizes
    error_is = (
        "mean over the batch less the exact probability, the largest: about 3 / (2 sqrt(batch)) "
        "by chance alone"
    )

    def inputs(self, device: torch.device) -> tuple[Tensor]:
        """Logits ``[batch, latents, K]``, the same in each row."""
        sizes = self.options
        shape = (sizes.latents, sizes.categories)
        row = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        return (row.to(device).expand(sizes.batch, *shape).contiguous(),)

    def contenders(self, device: torch.device) -> Sequence[Contender]:
        (logits,) = self.inputs(device)
        relaxation = Categorical(categories=self.options.categories)

        def ours() -> Tensor:
            return relaxation(logits).sample_hard()

        def torchs() -> Tensor:
            return OneHotCategorical(logits=logits, validate_args=True).sample()

        return [
            Contender(
                "OneHotCategorical", lambda: torchs, "PyTorch, arguments checked", reference=True
            ),
            Contender("relaxit", lambda: ours, "q.sample_hard, parameters checked on the CPU"),
        ]

    def oracle(self, device: torch.device) -> Tensor:
        """Exact probabilities ``[latents, K]``."""
        return self.inputs(device)[0][0].double().softmax(-1)

    def compared(self, result: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Mean over the batch, ``[latents, K]``."""
        assert isinstance(result, Tensor)
        return result.double().mean(0)
