"""Draws of one of K categories: relaxit compared with PyTorch, Pyro and an old tutorial."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import OneHotCategorical, RelaxedOneHotCategorical
from torch.nn.functional import gumbel_softmax

from relaxit.bench import Implementation, Needs
from relaxit.categorical.benchmarks.implementations import (
    CHECKED,
    FLOAT_BYTES,
    OURS,
    CategoricalBenchmark,
    Draw,
    Make,
    backward,
    eager_and_compiled,
)
from relaxit.estimators import StraightThroughGumbel

__all__ = [
    "CategoricalHard",
    "CategoricalSample",
    "CategoricalSoft",
    "CategoricalStraightThrough",
]

_TUTORIAL = "the sampler of an old tutorial script, eps in its logarithms"
_EPS = 1e-20


class _Sampling(CategoricalBenchmark):
    """Shared by the draws: the samplers of other libraries."""

    def softmax(self, logits: Tensor, hard: bool = False) -> Tensor:
        """Draw with PyTorch's ``gumbel_softmax``."""
        return gumbel_softmax(logits, self.options.temperature, hard)

    def relaxed(self, logits: Tensor) -> Tensor:
        """Draw from PyTorch's relaxed distribution, which torch.compile does not support."""
        temperature = logits.new_tensor(self.options.temperature)
        # torch.compile turns this check off for the whole process, so it is requested here.
        return RelaxedOneHotCategorical(temperature, logits=logits, validate_args=True).rsample()

    def pyros(self, name: str) -> Draw:
        """Return a sampler of one of Pyro's relaxed distributions."""
        distributions = importlib.import_module("pyro.distributions")
        distribution, temperature = (
            getattr(distributions, name),
            torch.tensor(self.options.temperature),
        )
        return lambda logits: distribution(
            temperature.to(logits.device), logits=logits, validate_args=True
        ).rsample()

    def tutorials(self, logits: Tensor, hard: bool = False) -> Tensor:
        """Draw as an old tutorial's script does: noise from the CPU, eps in both logarithms."""
        u = torch.rand(logits.shape).to(logits.device)
        gumbels = -torch.log(-torch.log(u + _EPS) + _EPS)
        soft = ((logits + gumbels) / self.options.temperature).softmax(-1)
        if not hard:
            return soft
        one_hot = torch.zeros_like(logits).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
        return (one_hot - soft).detach() + soft

    def ways(self, make: Make) -> list[Implementation]:
        """Return all implementations of a soft draw.

        Args:
            make: function from a sampler to the call that is timed.
        """
        distribution = self.distribution
        return [
            *eager_and_compiled(
                "gumbel_softmax", make, self.softmax, "PyTorch", "torch", reference=True
            ),
            Implementation(
                "RelaxedOneHotCategorical", lambda: make(self.relaxed), CHECKED, baseline="torch"
            ),
            Implementation(
                "pyro",
                lambda: make(self.pyros("RelaxedOneHotCategorical")),
                "RelaxedOneHotCategorical of Pyro, with argument checks",
                baseline="pyro",
            ),
            *eager_and_compiled("tutorial", make, self.tutorials, _TUTORIAL, "tutorial"),
            *eager_and_compiled("relaxit", make, lambda x: distribution(x).rsample(), OURS, ""),
        ]


class CategoricalSoft(_Sampling):
    """A soft draw, ``[batch, latents, K]``, without gradient."""

    api = 1
    name = "categorical-soft"
    summary = "soft draw of categorical variables"

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        logits, _ = self.inputs(device)
        return self.ways(lambda draw: lambda: draw(logits))

    def needs(self, device: torch.device) -> Needs:
        """Logits are read and the sample is written; one random number per entry."""
        entries = self.entries
        return Needs(bytes=2 * FLOAT_BYTES * entries, random_numbers=entries, launches=1)


class CategoricalSample(_Sampling):
    """A soft draw and its backward pass: sample and gradient, both ``[batch, latents, K]``."""

    api = 1
    name = "categorical-sample"
    summary = "soft draw of categorical variables, forward and backward"

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        return self.ways(backward(*self.inputs(device)))

    def needs(self, device: torch.device) -> Needs:
        """As the soft draw; backward reads sample and incoming gradient and writes the gradient."""
        entries = self.entries
        return Needs(bytes=5 * FLOAT_BYTES * entries, random_numbers=entries, launches=2)


class CategoricalStraightThrough(_Sampling):
    """A one-hot draw with the gradient of the soft one, forward and backward.

    Reference: arXiv:1611.01144 (Gumbel-softmax), section 2.2.
    """

    api = 1
    name = "categorical-straight-through"
    summary = "straight-through draw of categorical variables, forward and backward"

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        make = backward(*self.inputs(device))
        straight_through, ours = StraightThroughGumbel(), self.distribution
        distribution = "RelaxedOneHotCategoricalStraightThrough"
        return [
            *eager_and_compiled(
                "gumbel_softmax",
                make,
                lambda x: self.softmax(x, hard=True),
                "PyTorch, hard=True",
                "torch",
                reference=True,
            ),
            Implementation(
                "pyro",
                lambda: make(self.pyros(distribution)),
                f"{distribution} of Pyro, with argument checks",
                baseline="pyro",
            ),
            *eager_and_compiled(
                "tutorial", make, lambda x: self.tutorials(x, hard=True), _TUTORIAL, "tutorial"
            ),
            *eager_and_compiled(
                "relaxit",
                make,
                lambda x: straight_through.sample(ours(x)),
                f"st-gumbel, {OURS}",
                "",
            ),
        ]

    def needs(self, device: torch.device) -> Needs:
        """The soft sample is written too, because the backward pass reads it."""
        entries = self.entries
        return Needs(bytes=6 * FLOAT_BYTES * entries, random_numbers=entries, launches=2)


class CategoricalHard(_Sampling):
    """An exact discrete draw, one-hot ``[batch, latents, K]``, without gradient.

    All rows have the same logits, so that the mean over rows can be compared with the exact
    probabilities.
    """

    api = 1
    name = "categorical-hard"
    summary = "exact one-hot draw of categorical variables"
    references = ("arXiv:1411.0030 (argmax of perturbed logits)",)
    error_is = (
        "largest difference of the mean over the batch from the exact probability: about "
        "3 / (2 sqrt(batch)) by chance alone"
    )

    def inputs(self, device: torch.device) -> tuple[Tensor]:
        """Return logits ``[batch, latents, K]``, the same in each row."""
        sizes = self.options
        shape = (sizes.latents, sizes.categories)
        row = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        return (row.to(device).expand(sizes.batch, *shape).contiguous(),)

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        (logits,) = self.inputs(device)

        def make(draw: Draw) -> Callable[[], Tensor]:
            return lambda: draw(logits)

        def torchs(params: Tensor) -> Tensor:
            return OneHotCategorical(logits=params, validate_args=True).sample()

        distribution = self.distribution

        return [
            Implementation(
                "OneHotCategorical",
                lambda: make(torchs),
                CHECKED,
                reference=True,
                baseline="torch",
            ),
            *eager_and_compiled(
                "gumbel_softmax",
                make,
                lambda x: self.softmax(x, hard=True),
                "PyTorch, hard=True, without gradient",
                "torch",
            ),
            *eager_and_compiled(
                "relaxit",
                make,
                lambda x: distribution(x).sample_hard(),
                f"q.sample_hard, {OURS}",
                "",
            ),
        ]

    def needs(self, device: torch.device) -> Needs:
        """Logits are read and the sample is written; one random number per variable."""
        return Needs(
            bytes=2 * FLOAT_BYTES * self.entries, random_numbers=self.variables, launches=1
        )

    def oracle(self, device: torch.device) -> Tensor:
        """Compute the exact probabilities ``[latents, K]``."""
        return self.inputs(device)[0][0].double().softmax(-1)

    def compared(self, result: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Compute the mean over the batch, ``[latents, K]``."""
        assert isinstance(result, Tensor)
        return result.double().mean(0)
