"""Benchmarks of dynamic programs: chains, and subsets by a recursion over items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

import relaxit
from relaxit import Options, SumProduct
from relaxit.bench import Benchmark, Implementation, Unavailable
from relaxit.sum_product import Sum
from relaxit_graph.benchmarks.baselines import chain_marginals
from relaxit_graph.programs.chain import Chain

__all__ = ["ChainDraw", "ChainMarginals", "SubsetBySums"]


class ChainSizes(Options):
    """Sizes of the benchmarks of chains."""

    batch: int = Field(default=64, ge=1, description="number of chains")
    length: int = Field(default=16, ge=1, description="number of positions")
    states: int = Field(default=10, ge=1, description="number of states")


class _Chains(Benchmark):
    """Shared inputs: normally distributed scores of states and pairs, and an upstream gradient."""

    structure = "chain"
    Options = ChainSizes
    options: ChainSizes
    presets = ({}, {"length": 128, "states": 32})

    @property
    def relaxation(self) -> Chain:
        return Chain(length=self.options.length, states=self.options.states)

    def inputs(self, device: torch.device) -> tuple[Tensor, ...]:
        """Scores ``[batch, T, S]`` and ``[batch, T - 1, S, S]``, and gradients of marginals."""
        o = self.options
        generator = torch.Generator().manual_seed(0)
        unary, vector = torch.randn((2, o.batch, o.length, o.states), generator=generator)
        pair = torch.randn((o.batch, o.length - 1, o.states, o.states), generator=generator)
        return unary.to(device), pair.to(device), vector.to(device)


def potentials(unary: Tensor, pair: Tensor) -> Tensor:
    """Return the scores of Torch-Struct, ``[batch, T - 1, S, S]`` with the next state first."""
    edges = (pair + unary[:, 1:].unsqueeze(-2)).mT
    first = edges[:, :1] + unary[:, :1].unsqueeze(-2)
    return torch.cat([first, edges[:, 1:]], 1)


class ChainMarginals(_Chains):
    """Marginals of states ``[batch, T, S]`` and their vector-Jacobian product in all scores."""

    api = 1
    name = "chain-marginals"
    summary = "marginals of chains and their vector-Jacobian product"
    references = ("arXiv:2002.00876 (Torch-Struct)",)

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        unary, pair, vector = self.inputs(device)
        chain = self.relaxation

        def make(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], Any]:
            leaves = (unary.clone().requires_grad_(), pair.clone().requires_grad_())

            def call() -> tuple[Tensor, ...]:
                marginals = function(*leaves)
                return (marginals.detach(), *torch.autograd.grad(marginals, leaves, vector))

            return call

        def derived(unary: Tensor, pair: Tensor) -> Tensor:
            return chain.discrete(chain.join(unary=unary, pair=pair)).mean

        def torch_struct() -> Callable[[], Any]:
            from torch_struct import LinearChainCRF

            size = 4 * pair.numel() * self.options.states
            if size > 1e9:
                raise Unavailable(f"its tables would take several times {size / 1e9:.0f} GB")

            def function(unary: Tensor, pair: Tensor) -> Tensor:
                crf = LinearChainCRF(potentials(unary, pair), validate_args=False)
                edges = crf.marginals
                first = edges[:, :1].sum(-2)
                return torch.cat([first, edges.sum(-1)], 1)

            return make(function)

        return [
            Implementation(
                "written out",
                lambda: make(chain_marginals),
                "forward-backward in float32, autograd",
                reference=True,
            ),
            Implementation(
                "written out, compiled",
                lambda: make(torch.compile(chain_marginals, fullgraph=True)),
                compiled=True,
            ),
            Implementation(
                "chain", lambda: make(derived), "q.discrete.mean, float64, and backward"
            ),
            Implementation("torch-struct", torch_struct, "parallel scan", baseline="torch-struct"),
        ]

    def oracle(self, device: torch.device) -> tuple[Tensor, ...]:
        """Forward-backward in float64."""
        unary, pair, vector = (part.double() for part in self.inputs(device))
        leaves = (unary.requires_grad_(), pair.requires_grad_())
        marginals = chain_marginals(*leaves)
        return (marginals.detach(), *torch.autograd.grad(marginals, leaves, vector))


class ChainDraw(_Chains):
    """Exact samples ``[batch, T, S]``; all chains have the same scores."""

    api = 1
    name = "chain-draw"
    summary = "exact draw of chains"
    references = ("arXiv:2002.00876 (Torch-Struct)",)
    error_is = "batch mean minus exact marginals, mostly sampling noise: about 2 / sqrt(batch)"

    def inputs(self, device: torch.device) -> tuple[Tensor, ...]:
        """Scores, the same for each chain."""
        return tuple(x[:1].expand_as(x).contiguous() for x in super().inputs(device)[:2])

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        unary, pair = self.inputs(device)
        chain = self.relaxation
        params = chain.join(unary=unary, pair=pair)

        def torch_struct() -> Callable[[], Tensor]:
            from torch_struct import LinearChainCRF

            def call() -> Tensor:
                crf = LinearChainCRF(potentials(unary, pair), validate_args=False)
                edges = crf.sample((1,))[0]
                return torch.cat([edges[:, :1].sum(-2), edges.sum(-1)], 1)

            return call

        return [
            Implementation(
                "chain",
                lambda: lambda: chain(params).sample_hard(),
                "q.sample_hard",
                reference=True,
            ),
            Implementation("torch-struct", torch_struct, baseline="torch-struct"),
        ]

    def oracle(self, device: torch.device) -> Tensor:
        """Exact marginals ``[T, S]``."""
        unary, pair = (x[:1].double() for x in self.inputs(device))
        return chain_marginals(unary, pair)[0]

    def compared(self, result: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Mean over the batch, ``[T, S]``."""
        assert isinstance(result, Tensor)
        return result.double().mean(0)


class SubsetSizes(Options):
    """Sizes of :class:`SubsetBySums`."""

    batch: int = Field(default=64, ge=1, description="number of rows")
    n: int = Field(default=30, ge=2, description="number of items")
    k: int = Field(default=10, ge=1, description="number of items that are chosen, less than n")


class _Subset(SumProduct):
    """k of n items as a log-partition function: sums over the items, by the number chosen."""

    api = 1
    name = "subset-by-sums"
    Options = SubsetSizes
    options: SubsetSizes

    @property
    def event_shape(self) -> torch.Size:
        return torch.Size((self.options.n,))

    @property
    def param_shape(self) -> torch.Size:
        return self.event_shape

    def log_partition(self, scores: Tensor, plus: Sum) -> Tensor:
        nothing = torch.full_like(scores[..., :1], -torch.inf)
        chosen = torch.cat([torch.zeros_like(nothing), nothing.expand_as(scores)], -1)
        chosen = chosen[..., : self.options.k + 1]
        for score in scores.split(1, -1):
            more = torch.cat([nothing, chosen[..., :-1] + score], -1)
            chosen = plus(torch.stack([chosen, more]), 0)
        return chosen[..., -1]


class SubsetBySums(Benchmark):
    """Marginals ``[batch, n]`` of k-subsets and their vector-Jacobian product."""

    api = 1
    name = "subset-by-sums"
    summary = "k-subsets from their log-partition function, against the structure by hand"
    structure = "subset"
    references = ("arXiv:2210.01941 (SIMPLE)",)
    Options = SubsetSizes
    options: SubsetSizes

    def inputs(self, device: torch.device) -> tuple[Tensor, ...]:
        """Logits and upstream gradients, each ``[batch, n]``."""
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randn((2, self.options.batch, self.options.n), generator=generator)
        return drawn[0].to(device), drawn[1].to(device)

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        return [
            Implementation("by hand", lambda: self._call(self._by_hand(), device), reference=True),
            Implementation("SumProduct", lambda: self._call(self._by_sums(), device)),
        ]

    def _by_hand(self) -> relaxit.Relaxation:
        return relaxit.get("subset", n=self.options.n, k=self.options.k)

    def _by_sums(self) -> relaxit.Relaxation:
        return _Subset(**self.options.model_dump())

    def _call(
        self, relaxation: relaxit.Relaxation, device: torch.device, dtype: torch.dtype | None = None
    ) -> Callable[[], tuple[Tensor, Tensor]]:
        logits, vector = (x.to(dtype) for x in self.inputs(device))
        leaf = logits.requires_grad_()

        def call() -> tuple[Tensor, Tensor]:
            marginals = relaxation.discrete(leaf).mean
            return marginals.detach(), torch.autograd.grad(marginals, leaf, vector)[0]

        return call

    def oracle(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The recursion in float64."""
        return self._call(self._by_sums(), device, torch.float64)()
