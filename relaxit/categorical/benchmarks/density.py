"""Log-densities of relaxed categories: which are finite, and what they take."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import RelaxedOneHotCategorical

from relaxit.bench import Implementation, Needs
from relaxit.categorical.benchmarks.implementations import (
    CHECKED,
    FLOAT_BYTES,
    OURS,
    CategoricalBenchmark,
    Draw,
    eager_and_compiled,
)

__all__ = ["CategoricalDensity"]


class CategoricalDensity(CategoricalBenchmark):
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
                "with argument checks", lambda: make(lambda x: torchs(x, True)), CHECKED,
                baseline="torch",
            ),
            Implementation(
                "pyro straight-through", prepared,
                "RelaxedOneHotCategoricalStraightThrough of Pyro, which clamps its draws at 1e-7",
                baseline="pyro",
            ),
            *eager_and_compiled("relaxit", make, ours, OURS, ""),
            Implementation(
                "log_space", lambda: make(in_log_space), "q.log_space, the log-density of log y"
            ),
        ]  # fmt: skip

    def needs(self, device: torch.device) -> Needs:
        """Logits are read, density and gradient are written; one random number per entry."""
        entries = self.entries
        written = FLOAT_BYTES * (entries + self.variables)
        return Needs(bytes=FLOAT_BYTES * entries + written, random_numbers=entries, launches=1)

    def oracle(self, device: torch.device) -> Tensor:
        """Return 1, the share of finite log-densities."""
        return torch.ones((), dtype=torch.float64)

    def compared(self, result: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Compute the share of log-densities that are finite."""
        return result[0].isfinite().double().mean()
