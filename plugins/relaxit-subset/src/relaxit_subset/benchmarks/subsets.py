"""Benchmarks of k-subsets: exact marginals and their derivative, exact and relaxed samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from relaxit import Options
from relaxit.bench import Benchmark, Implementation
from relaxit_subset.benchmarks.baselines import sequential_draw, successive_softmax
from relaxit_subset.conditional_poisson.recursion import log_partition
from relaxit_subset.conditional_poisson.subset import Subset

__all__ = ["SubsetDraw", "SubsetMarginals", "SubsetRelaxed", "SubsetSlopes"]

_TEMPERATURE = 0.5


class SubsetSizes(Options):
    """Sizes of all subset benchmarks."""

    batch: int = Field(default=256, ge=1, description="number of rows")
    n: int = Field(default=1000, ge=2, description="number of items")
    k: int = Field(default=50, ge=1, description="number of items that are chosen, less than n")
    scale: float = Field(default=1.0, ge=0, description="standard deviation of the logits")

    @model_validator(mode="after")
    def _k_fits(self) -> Self:
        if self.k >= self.n:
            raise ValueError(f"k = {self.k} must be less than n = {self.n}")
        return self


class _Sized(Benchmark):
    """Shared inputs: normally distributed logits and an upstream gradient."""

    structure = "subset"
    Options = SubsetSizes
    options: SubsetSizes

    @property
    def relaxation(self) -> Subset:
        return Subset(n=self.options.n, k=self.options.k)

    def inputs(self, device: torch.device) -> tuple[Tensor, ...]:
        """Logits and upstream gradients, each ``[batch, n]``."""
        shape = (2, self.options.batch, self.options.n)
        drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
        return drawn[0] * self.options.scale, drawn[1]

    @property
    def exact(self) -> Callable[[Tensor], Tensor]:
        """Function from logits to the marginals ``[batch, n]`` of the exact distribution."""
        relaxation = self.relaxation
        return lambda logits: relaxation.discrete(logits).mean

    def _by_recursion(self, logits: Tensor, create_graph: bool = False) -> Tensor:
        total = log_partition(logits, self.options.k).sum()
        return torch.autograd.grad(total, logits, create_graph=create_graph)[0]


class SubsetMarginals(_Sized):
    """Exact marginals ``[batch, n]`` of the conditional Poisson distribution."""

    api = 1
    name = "subset-marginals"
    summary = "exact marginals of k-subsets"
    references = ("arXiv:2210.01941 (SIMPLE)",)

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        logits = self.inputs(device)[0]
        leaf, exact = logits.clone().requires_grad_(), self.exact

        def compiled() -> Callable[[], Tensor]:
            function = torch.compile(exact, fullgraph=True)
            return lambda: function(logits)

        return [
            Implementation(
                "recursion",
                lambda: lambda: self._by_recursion(leaf),
                "logaddexp over items, autograd",
                reference=True,
            ),
            Implementation("contour", lambda: lambda: exact(logits), "q.discrete.mean"),
            Implementation("contour compiled", compiled, compiled=True),
        ]

    def oracle(self, device: torch.device) -> Tensor:
        """The recursion in float64."""
        return self._by_recursion(self.inputs(device)[0].double().requires_grad_())


class SubsetSlopes(_Sized):
    """Marginals and their vector-Jacobian product, each ``[batch, n]``, as SIMPLE needs them."""

    api = 1
    name = "subset-slopes"
    summary = "exact marginals of k-subsets and their vector-Jacobian product"
    references = ("arXiv:2210.01941 (SIMPLE)",)

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        logits, vector = self.inputs(device)
        leaf, exact = logits.clone().requires_grad_(), self.exact

        def make(function: Callable[[Tensor], Tensor]) -> Callable[[], tuple[Tensor, Tensor]]:
            def call() -> tuple[Tensor, Tensor]:
                marginals = function(leaf)
                (slope,) = torch.autograd.grad(marginals, leaf, vector)
                return marginals.detach(), slope

            return call

        return [
            Implementation(
                "recursion",
                lambda: make(lambda x: self._by_recursion(x, create_graph=True)),
                "logaddexp over items, autograd twice",
                reference=True,
            ),
            Implementation("contour", lambda: make(exact), "q.discrete.mean and backward"),
            Implementation(
                "contour compiled",
                lambda: make(torch.compile(exact, fullgraph=True)),
                compiled=True,
            ),
        ]

    def oracle(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The recursion in float64, differentiated twice."""
        logits, vector = (part.double() for part in self.inputs(device))
        logits.requires_grad_()
        marginals = self._by_recursion(logits, create_graph=True)
        return marginals.detach(), torch.autograd.grad(marginals, logits, vector)[0]


class SubsetDraw(_Sized):
    """Exact samples ``[batch, n]``; all rows have the same logits."""

    api = 1
    name = "subset-draw"
    summary = "exact draw of k-subsets"
    error_is = "batch mean minus exact marginals, mostly sampling noise: about 2 / sqrt(batch)"

    def inputs(self, device: torch.device) -> tuple[Tensor, ...]:
        """Logits ``[batch, n]``, the same in each row."""
        return (super().inputs(device)[0][:1].expand(self.options.batch, -1).contiguous(),)

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        (logits,) = self.inputs(device)
        relaxation = self.relaxation
        return [
            Implementation(
                "sequential",
                lambda: lambda: sequential_draw(logits, self.options.k),
                "item by item from the table of the recursion",
                reference=True,
            ),
            Implementation(
                "tree", lambda: lambda: relaxation(logits).sample_hard(), "q.sample_hard"
            ),
        ]

    def oracle(self, device: torch.device) -> Tensor:
        """Exact marginals ``[n]``."""
        return self._by_recursion(self.inputs(device)[0][:1].double().requires_grad_())[0]

    def compared(self, result: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Mean over the batch, ``[n]``."""
        assert isinstance(result, Tensor)
        return result.double().mean(0)


class SubsetRelaxed(_Sized):
    """A soft sample and its backward pass: sample and gradient, each ``[batch, n]``.

    The implementations use different relaxations, so there is no common result to compare with.
    """

    api = 1
    name = "subset-relaxed"
    summary = "relaxed draw of k-subsets, forward and backward"
    references = (
        "arXiv:1901.10517 (successive softmax)",
        "arXiv:2006.08063",
        "https://github.com/a-paulus/softtorch (SoftTorch)",
    )

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        logits, vector = self.inputs(device)
        leaf = logits.clone().requires_grad_()
        relaxation = self.relaxation

        def published(x: Tensor) -> Tensor:
            return successive_softmax(
                relaxation.perturb(x, torch.Size()), relaxation.options.k, _TEMPERATURE
            )

        def projected(x: Tensor) -> Tensor:
            return relaxation(x, _TEMPERATURE).rsample()

        def sorted_softly() -> Callable[[], Any]:
            import softtorch

            def function(x: Tensor) -> Tensor:
                scores = relaxation.perturb(x, torch.Size())
                found = softtorch.topk(
                    scores,
                    relaxation.options.k,
                    softness=_TEMPERATURE,
                    method="softsort",
                    standardize=False,
                )
                soft: Tensor = found.indices.sum(-2)
                return soft

            return make(function)

        def make(function: Callable[[Tensor], Tensor]) -> Callable[[], Any]:
            def call() -> tuple[Tensor, Tensor]:
                soft = function(leaf)
                (gradient,) = torch.autograd.grad(soft, leaf, vector)
                return soft.detach(), gradient

            return call

        return [
            Implementation(
                "successive softmax", lambda: make(published), "Xie and Ermon", reference=True
            ),
            Implementation("projection", lambda: make(projected), "q.rsample and backward"),
            Implementation(
                "projection compiled",
                lambda: make(torch.compile(projected, fullgraph=True)),
                compiled=True,
            ),
            Implementation(
                "softtorch, softsort",
                sorted_softly,
                "topk: k rows of softmax, added up; of the same perturbed logits",
                baseline="softtorch",
            ),
        ]
