"""Draws of one of K categories: relaxit compared with PyTorch, Pyro and an old tutorial."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import OneHotCategorical, RelaxedOneHotCategorical
from torch.nn.functional import gumbel_softmax

from relaxit import Options, RelaxedDistribution
from relaxit.bench import Benchmark, Implementation, Needs, tutorial
from relaxit.categorical import functional
from relaxit.categorical.categorical import Categorical
from relaxit.estimators import StraightThroughGumbel

__all__ = [
    "CategoricalDensity",
    "CategoricalHard",
    "CategoricalSample",
    "CategoricalSoft",
    "CategoricalStraightThrough",
    "GumbelSoftmaxFunction",
]

Draw = Callable[[Tensor], Tensor]
"""Function from logits to a sample of the same shape."""

Make = Callable[[Draw], Callable[[], Tensor | tuple[Tensor, ...]]]
"""Function from a sampler to the call that is timed."""

_FLOAT = 4  # bytes
_CHECKED = "PyTorch, with argument checks"
_TUTORIAL = "the sampler of an old tutorial script, eps in its logarithms"
_OURS = "parameters checked on the CPU"


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


class _Sampling(Benchmark):
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
        """Draw with the sampler of an old tutorial script."""
        return tutorial.gumbel_softmax(logits, self.options.temperature, hard=hard)

    def ways(self, make: Make) -> list[Implementation]:
        """Return all implementations of a soft draw.

        Args:
            make: function from a sampler to the call that is timed.
        """
        distribution = self.distribution
        return [
            *_eager_and_compiled(
                "gumbel_softmax", make, self.softmax, "PyTorch", "torch", reference=True
            ),
            Implementation(
                "RelaxedOneHotCategorical", lambda: make(self.relaxed), _CHECKED, baseline="torch"
            ),
            Implementation(
                "pyro",
                lambda: make(self.pyros("RelaxedOneHotCategorical")),
                "RelaxedOneHotCategorical of Pyro, with argument checks",
                baseline="pyro",
            ),
            *_eager_and_compiled("tutorial", make, self.tutorials, _TUTORIAL, "tutorial"),
            *_eager_and_compiled("relaxit", make, lambda x: distribution(x).rsample(), _OURS, ""),
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
        return Needs(bytes=2 * _FLOAT * entries, random_numbers=entries, launches=1)


class CategoricalSample(_Sampling):
    """A soft draw and its backward pass: sample and gradient, both ``[batch, latents, K]``."""

    api = 1
    name = "categorical-sample"
    summary = "soft draw of categorical variables, forward and backward"

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        return self.ways(_backward(*self.inputs(device)))

    def needs(self, device: torch.device) -> Needs:
        """As the soft draw; backward reads sample and incoming gradient and writes the gradient."""
        entries = self.entries
        return Needs(bytes=5 * _FLOAT * entries, random_numbers=entries, launches=2)


class CategoricalStraightThrough(_Sampling):
    """A one-hot draw with the gradient of the soft one, forward and backward.

    Reference: arXiv:1611.01144 (Gumbel-softmax), section 2.2.
    """

    api = 1
    name = "categorical-straight-through"
    summary = "straight-through draw of categorical variables, forward and backward"

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        make = _backward(*self.inputs(device))
        straight_through, ours = StraightThroughGumbel(), self.distribution
        distribution = "RelaxedOneHotCategoricalStraightThrough"
        return [
            *_eager_and_compiled(
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
            *_eager_and_compiled(
                "tutorial", make, lambda x: self.tutorials(x, hard=True), _TUTORIAL, "tutorial"
            ),
            *_eager_and_compiled(
                "relaxit",
                make,
                lambda x: straight_through.sample(ours(x)),
                f"st-gumbel, {_OURS}",
                "",
            ),
        ]

    def needs(self, device: torch.device) -> Needs:
        """The soft sample is written too, because the backward pass reads it."""
        entries = self.entries
        return Needs(bytes=6 * _FLOAT * entries, random_numbers=entries, launches=2)


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
                _CHECKED,
                reference=True,
                baseline="torch",
            ),
            *_eager_and_compiled(
                "gumbel_softmax",
                make,
                lambda x: self.softmax(x, hard=True),
                "PyTorch, hard=True, without gradient",
                "torch",
            ),
            *_eager_and_compiled(
                "relaxit",
                make,
                lambda x: distribution(x).sample_hard(),
                f"q.sample_hard, {_OURS}",
                "",
            ),
        ]

    def needs(self, device: torch.device) -> Needs:
        """Logits are read and the sample is written; one random number per variable."""
        return Needs(bytes=2 * _FLOAT * self.entries, random_numbers=self.variables, launches=1)

    def oracle(self, device: torch.device) -> Tensor:
        """Compute the exact probabilities ``[latents, K]``."""
        return self.inputs(device)[0][0].double().softmax(-1)

    def compared(self, result: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Compute the mean over the batch, ``[latents, K]``."""
        assert isinstance(result, Tensor)
        return result.double().mean(0)


class CategoricalDensity(_Sampling):
    """A soft draw, its log-density ``[batch, latents]`` and the gradient of that.

    At low temperatures coordinates of a draw underflow, and their logarithms are infinite. The
    error counts the draws to which this happens.

    Reference: arXiv:1611.00712 (Concrete), appendix C.3, on underflow.
    """

    api = 1
    name = "categorical-density"
    summary = "soft draw of categorical variables and its log-density, forward and backward"
    group = "structures"
    references = ("arXiv:1611.00712 (Concrete), eq. 10 and appendix C.3",)
    presets: ClassVar[tuple[Mapping[str, Any], ...]] = tuple(
        {"temperature": temperature} for temperature in (1.0, 0.5, 0.2, 0.1, 0.05)
    )
    error_is = "share of draws whose log-density is not finite"

    def inputs(self, device: torch.device) -> tuple[Tensor]:
        """Return logits ``[batch, latents, K]``."""
        sizes = self.options
        shape = (sizes.batch, sizes.latents, sizes.categories)
        # Not the seed of the draws: PyTorch's noise would depend on the logits.
        return (torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(device),)

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        (logits,) = self.inputs(device)
        logits.requires_grad_()
        temperature, distribution = self.options.temperature, self.distribution

        def make(density: Draw) -> Callable[[], tuple[Tensor, Tensor]]:
            def call() -> tuple[Tensor, Tensor]:
                found = density(logits)
                (gradient,) = torch.autograd.grad(found.sum(), logits)
                return found, gradient

            return call

        def torchs(params: Tensor, checked: bool = False) -> Tensor:
            tau = params.new_tensor(temperature)
            q = RelaxedOneHotCategorical(tau, logits=params, validate_args=checked)
            return q.log_prob(q.rsample())

        def pyros(params: Tensor) -> Tensor:
            name = "RelaxedOneHotCategoricalStraightThrough"
            cls = getattr(importlib.import_module("pyro.distributions"), name)
            q = cls(params.new_tensor(temperature), logits=params, validate_args=False)
            return q.log_prob(q.rsample())

        def ours(params: Tensor) -> Tensor:
            q = distribution(params)
            return q.log_prob(q.rsample())

        def in_log_space(params: Tensor) -> Tensor:
            q = distribution(params).log_space
            return q.log_prob(q.rsample())

        def prepared() -> Callable[[], tuple[Tensor, Tensor]]:
            importlib.import_module("pyro.distributions")
            return make(pyros)

        return [
            Implementation(
                "RelaxedOneHotCategorical", lambda: make(torchs), "PyTorch, no argument checks",
                reference=True, baseline="torch",
            ),
            Implementation(
                "with argument checks", lambda: make(lambda x: torchs(x, True)), _CHECKED,
                baseline="torch",
            ),
            Implementation(
                "pyro straight-through", prepared,
                "RelaxedOneHotCategoricalStraightThrough of Pyro, which clamps its draws at 1e-7",
                baseline="pyro",
            ),
            *_eager_and_compiled("relaxit", make, ours, _OURS, ""),
            Implementation(
                "log_space", lambda: make(in_log_space), "q.log_space, the log-density of log y"
            ),
        ]  # fmt: skip

    def needs(self, device: torch.device) -> Needs:
        """Logits are read, density and gradient are written; one random number per entry."""
        entries = self.entries
        written = _FLOAT * (entries + self.variables)
        return Needs(bytes=_FLOAT * entries + written, random_numbers=entries, launches=1)

    def oracle(self, device: torch.device) -> Tensor:
        """Return 1, the share of finite log-densities."""
        return torch.ones((), dtype=torch.float64)

    def compared(self, result: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Compute the share of log-densities that are finite."""
        return result[0].isfinite().double().mean()


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
        make, arguments = _backward(logits, arriving), dict(self.options)
        del arguments["shape"]
        return [
            *_eager_and_compiled(
                "F.gumbel_softmax",
                make,
                lambda x: gumbel_softmax(x, **arguments),
                "PyTorch",
                "torch",
                reference=True,
            ),
            *_eager_and_compiled(
                "relaxit.gumbel_softmax",
                make,
                lambda x: functional.gumbel_softmax(x, **arguments),
                _OURS,
                "",
            ),
        ]

    def needs(self, device: torch.device) -> Needs:
        """Logits, incoming gradient and sample are read; sample and gradient are written."""
        entries = math.prod(self.options.shape)
        return Needs(bytes=5 * _FLOAT * entries, random_numbers=entries, launches=2)


def _backward(logits: Tensor, arriving: Tensor) -> Make:
    """Return a function that makes a call that draws and runs the backward pass."""
    logits.requires_grad_()

    def make(draw: Draw) -> Callable[[], tuple[Tensor, Tensor]]:
        def call() -> tuple[Tensor, Tensor]:
            drawn = draw(logits)
            (gradient,) = torch.autograd.grad(drawn, logits, arriving)
            return drawn, gradient

        return call

    return make


def _eager_and_compiled(
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
