"""Benchmarks of trees: marginals and their derivative, maximum spanning trees, exact samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from relaxit import Options
from relaxit.bench import Benchmark, Implementation
from relaxit_graph.arborescences.arborescence import Arborescence
from relaxit_graph.benchmarks.baselines import (
    determinant_marginals,
    inverse_marginals,
    trees_by_scipy,
)
from relaxit_graph.trees.prim import best_tree
from relaxit_graph.trees.spanning_tree import SpanningTree

__all__ = ["ArborescenceMarginals", "HardTrees", "TreeDraw", "TreeMarginals"]


class GraphSizes(Options):
    """Sizes of all benchmarks of trees."""

    batch: int = Field(default=64, ge=1, description="number of graphs")
    nodes: int = Field(default=30, ge=2, description="number of nodes")
    scale: float = Field(default=1.0, ge=0, description="standard deviation of the scores")


class _Sized(Benchmark):
    """Shared inputs: normally distributed symmetric scores in float64, upstream gradients."""

    structure = "spanning-tree"
    Options = GraphSizes
    options: GraphSizes

    @property
    def relaxation(self) -> SpanningTree:
        return SpanningTree(nodes=self.options.nodes)

    def inputs(self, device: torch.device) -> tuple[Tensor, ...]:
        """Scores and upstream gradients, each ``[batch, n, n]`` and symmetric."""
        shape = (2, self.options.batch, self.options.nodes, self.options.nodes)
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64).to(device)
        drawn = drawn.triu(1) + drawn.triu(1).mT
        return drawn[0] * self.options.scale, drawn[1]


def _with_gradient(function: Callable[[Tensor], Tensor], scores: Tensor, vector: Tensor) -> Any:
    """Return a call that computes the function and its vector-Jacobian product."""
    leaf = scores.clone().requires_grad_()

    def call() -> tuple[Tensor, Tensor]:
        value = function(leaf)
        (slope,) = torch.autograd.grad(value, leaf, vector)
        return value.detach(), (slope + slope.mT) / 2

    return call


class TreeMarginals(_Sized):
    """Marginals of edges and their vector-Jacobian product, each ``[batch, n, n]``."""

    api = 1
    name = "tree-marginals"
    summary = "marginals of spanning trees and their vector-Jacobian product"
    references = ("Grassmann, Taksar, Heyman, Oper. Res. 33 (1985)",)
    presets = ({"nodes": 10}, {"nodes": 30}, {"nodes": 100}, {"nodes": 100, "scale": 10.0})

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        scores, vector = self.inputs(device)
        relaxation = self.relaxation

        def exact(x: Tensor) -> Tensor:
            return relaxation.discrete(x).mean

        def looped_pyro() -> Callable[[], Any]:
            from pyro.distributions import SpanningTree as Pyro

            second, first = torch.tril_indices(self.options.nodes, self.options.nodes, -1)

            def function(x: Tensor) -> Tensor:
                rows = []
                for row in x:
                    logits = row[first, second]
                    means = Pyro(logits, {"backend": "python"}, validate_args=False).edge_mean
                    rows.append(means)
                return torch.stack(rows)

            return _with_gradient(function, scores, vector)

        return [
            Implementation(
                "inverse",
                lambda: _with_gradient(inverse_marginals, scores, vector),
                "torch.linalg.inv of the Laplacian, autograd",
                reference=True,
            ),
            Implementation(
                "relaxit",
                lambda: _with_gradient(exact, scores, vector),
                "q.discrete.mean and backward",
            ),
            Implementation(
                "relaxit compiled",
                lambda: _with_gradient(torch.compile(exact, fullgraph=True), scores, vector),
                compiled=True,
            ),
            Implementation("pyro, looped", looped_pyro, "edge_mean of each graph", baseline="pyro"),
        ]

    def oracle(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The inverse, which is accurate for scores of size one, and for no others."""
        scores, vector = self.inputs(device)
        found: tuple[Tensor, Tensor] = _with_gradient(inverse_marginals, scores, vector)()
        return found


class ArborescenceMarginals(_Sized):
    """Marginals of arcs ``[batch, n, n]``, with any number of roots, forward only."""

    api = 1
    name = "arborescence-marginals"
    summary = "marginals of directed trees with several roots"
    structure = "arborescence"
    references = (
        "arXiv:2002.00876 (Torch-Struct)",
        "Koo, Globerson, Carreras, Collins, EMNLP 2007",
    )

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        scores, _ = self.inputs(device)
        relaxation = Arborescence(nodes=self.options.nodes, roots="multiple")

        def torch_struct() -> Callable[[], Tensor]:
            from torch_struct import NonProjectiveDependencyCRF

            def call() -> Tensor:
                crf = NonProjectiveDependencyCRF(scores, multiroot=True)
                marginals: Tensor = crf.marginals
                return marginals

            return call

        return [
            Implementation(
                "determinant",
                lambda: lambda: determinant_marginals(scores),
                "torch.linalg.slogdet, autograd",
                reference=True,
            ),
            Implementation("relaxit", lambda: lambda: relaxation.discrete(scores).mean),
            Implementation(
                "torch-struct", torch_struct, "adds 1e-5 to each weight", baseline="torch-struct"
            ),
        ]

    def oracle(self, device: torch.device) -> Tensor:
        """The determinant, which is accurate for scores of size one, and for no others."""
        return determinant_marginals(self.inputs(device)[0])


class HardTrees(_Sized):
    """Maximum spanning trees ``[batch, n, n]``."""

    api = 1
    name = "hard-trees"
    summary = "maximum spanning trees of a batch"
    presets = ({"batch": 256, "nodes": 10}, {"batch": 256}, {"batch": 256, "nodes": 100})

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        scores, _ = self.inputs(device)
        return [
            Implementation(
                "scipy, looped",
                lambda: lambda: trees_by_scipy(scores.cpu()).to(device),
                "scipy.sparse.csgraph of each graph",
                reference=True,
            ),
            Implementation("prim", lambda: lambda: best_tree(scores), "relaxation.argmax"),
        ]

    def oracle(self, device: torch.device) -> Tensor:
        """SciPy's trees."""
        return trees_by_scipy(self.inputs(device)[0].cpu()).to(device)


class TreeDraw(_Sized):
    """Random spanning trees ``[batch, n, n]``; all graphs have the same scores."""

    api = 1
    name = "tree-draw"
    summary = "random spanning trees"
    references = ("Wilson, STOC 1996",)
    error_is = "batch mean minus exact marginals, mostly sampling noise: about 2 / sqrt(batch)"

    def inputs(self, device: torch.device) -> tuple[Tensor, ...]:
        """Scores ``[batch, n, n]``, the same for each graph."""
        scores = super().inputs(device)[0]
        return (scores[:1].expand_as(scores).contiguous(),)

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        (scores,) = self.inputs(device)
        relaxation = self.relaxation

        def looped_pyro() -> Callable[[], Tensor]:
            from pyro.distributions import SpanningTree as Pyro

            second, first = torch.tril_indices(self.options.nodes, self.options.nodes, -1)
            options = {"mcmc_steps": 1, "backend": "python"}

            def call() -> Tensor:
                rows = torch.zeros_like(scores)
                for row, x in zip(rows, scores, strict=True):
                    edges = Pyro(x[first, second], options, validate_args=False).sample()
                    row[edges[:, 0], edges[:, 1]] = row[edges[:, 1], edges[:, 0]] = 1.0
                return rows

            return call

        return [
            Implementation(
                "elimination",
                lambda: lambda: relaxation(scores).sample_hard(),
                "q.sample_hard",
                reference=True,
            ),
            Implementation(
                "pyro, looped",
                looped_pyro,
                "one step of its Markov chain, each graph",
                baseline="pyro",
            ),
        ]

    def oracle(self, device: torch.device) -> Tensor:
        """Exact marginals ``[n, n]``."""
        return inverse_marginals(self.inputs(device)[0][:1])[0]

    def compared(self, result: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Mean over the batch, ``[n, n]``."""
        assert isinstance(result, Tensor)
        return result.double().mean(0)
