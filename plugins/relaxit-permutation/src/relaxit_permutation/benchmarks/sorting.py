"""Benchmarks of differentiable sorting and ranking of plain values against other packages.

The implementations use different relaxations, whose temperatures are not comparable. So the times
are for the same task, and the error is the distance from what every relaxation tends to: sums of
rows and columns of 1, and the exact ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from pydantic import Field
from torch import Tensor

from relaxit import Options
from relaxit.bench import Benchmark, Implementation
from relaxit_permutation.benchmarks.baselines import log_sinkhorn
from relaxit_permutation.sinkhorn.operator import residual
from relaxit_permutation.sorting.ranking import SortRelaxation, rank, soft_permutation

__all__ = ["SoftRanks", "SoftSorting"]

Function = Callable[[Tensor], Tensor]
Call = Callable[[], tuple[Tensor, Tensor]]

_NOTES: dict[SortRelaxation, str] = {
    "softsort": "rows: softmax of distances from the sorted values",
    "neuralsort": "rows: softmax of distances with weights",
    "sinkhorn": "transport to equally spaced anchors, implicit gradient",
}


class SortingSizes(Options):
    """Sizes of both benchmarks."""

    batch: int = Field(default=64, ge=1, description="number of rows")
    n: int = Field(default=32, ge=2, description="number of values in a row")
    temperature: float = Field(
        default=0.1, gt=0, description="temperature, inverse steepness, strength of regularisation"
    )
    scale: float = Field(default=1.0, ge=0, description="standard deviation of the values")


class _Valued(Benchmark):
    """Shared inputs: normally distributed values."""

    structure = "permutation"
    Options = SortingSizes
    options: SortingSizes

    def inputs(self, device: torch.device) -> tuple[Tensor, ...]:
        """Values ``[batch, n]``."""
        drawn = torch.randn(
            (self.options.batch, self.options.n), generator=torch.Generator().manual_seed(0)
        )
        return (drawn.to(device) * self.options.scale,)

    def _maker(self, device: torch.device, *event: int) -> Callable[[Function], Call]:
        """Return a wrapper that runs functions with results ``[batch, *event]`` and backward."""
        leaf = self.inputs(device)[0].requires_grad_()
        generator = torch.Generator().manual_seed(1)
        vector = torch.randn((self.options.batch, *event), generator=generator).to(device)

        def make(function: Function) -> Call:
            def call() -> tuple[Tensor, Tensor]:
                soft = function(leaf)
                (gradient,) = torch.autograd.grad(soft, leaf, vector)
                return soft.detach(), gradient

            return call

        return make

    def _published(self, values: Tensor, iterations: int) -> Tensor:
        """The soft matrix by the published algorithm, of the scores that our ``sinkhorn`` uses."""
        n = self.options.n
        anchors = n - 1 - 2 * torch.arange(n, dtype=values.dtype, device=values.device)
        scores = anchors.unsqueeze(-1) * values.unsqueeze(-2)
        return log_sinkhorn(scores / self.options.temperature, iterations)


class SoftSorting(_Valued):
    """The soft matrix that sorts, ``[batch, n, n]``, and the gradient of the values."""

    api = 1
    name = "soft-sorting"
    summary = "soft permutation matrix that sorts values, forward and backward"
    references = (
        "arXiv:1802.08665 (Gumbel-Sinkhorn)",
        "arXiv:2006.16038 (SoftSort)",
        "arXiv:1903.08850 (NeuralSort)",
        "arXiv:2105.04019 (diffsort)",
        "https://github.com/a-paulus/softtorch (SoftTorch)",
    )
    error_is = "the largest error of a row or column sum; in some relaxations only rows sum to 1"

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        o = self.options
        make = self._maker(device, o.n, o.n)

        def published(iterations: int) -> Implementation:
            return Implementation(
                f"log form, {iterations} iterations",
                lambda: make(lambda x: self._published(x, iterations)),
                "transport to equally spaced anchors, unrolled",
                reference=iterations == 20,
            )

        def ours(relaxation: SortRelaxation) -> Implementation:
            return Implementation(
                relaxation,
                lambda: make(lambda x: soft_permutation(x, o.temperature, relaxation)),
                _NOTES[relaxation],
            )

        def network(kind: str) -> Call:
            from diffsort import DiffSortNet

            net = DiffSortNet(kind, o.n, device=str(device), steepness=1 / o.temperature)
            # It sorts in ascending order, and returns the transpose.
            return make(lambda x: net(-x)[1].mT)

        def softtorch(method: str, note: str) -> Implementation:
            return Implementation(
                f"softtorch, {method}",
                lambda: make(_softtorch("argsort", method, o.temperature, descending=True)),
                note,
                baseline="softtorch",
            )

        return [
            published(20),
            published(100),
            *map(ours, _NOTES),
            Implementation(
                "diffsort, odd-even",
                lambda: network("odd_even"),
                "n layers of soft comparisons",
                baseline="diffsort",
            ),
            Implementation(
                "diffsort, bitonic",
                lambda: network("bitonic"),
                "log(n)^2 layers of soft comparisons",
                baseline="diffsort",
            ),
            softtorch("softsort", "the same matrix as softsort"),
            softtorch("neuralsort", "with a smoothed absolute value"),
            softtorch("ot", "transport to equally spaced anchors, row by row in float64"),
            softtorch("sorting_network", "log(n)^2 layers of soft comparisons, row by row"),
        ]

    def oracle(self, device: torch.device) -> Tensor:
        """Expected errors of the sums ``[batch]``, which are 0."""
        return torch.zeros(self.options.batch, dtype=torch.float64, device=device)

    def compared(self, result: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Errors of the sums ``[batch]``."""
        return residual(result[0].double())


class SoftRanks(_Valued):
    """Soft ranks, 1 for the smallest value, and their gradient, each ``[batch, n]``.

    torchsort is compared here because it provides ranks and sorted values but no matrix. With its
    regulariser ``l2`` the same strength gives ranks that are much farther from the exact ones for
    large n; the temperatures of the others do not depend on n in this way.
    """

    api = 1
    name = "soft-ranks"
    summary = "soft ranks of values, forward and backward"
    references = (
        "arXiv:2002.08871 (torchsort)",
        "arXiv:1905.11885 (ranks by transport)",
        "https://github.com/a-paulus/softtorch (SoftTorch)",
    )
    error_is = (
        "mean distance of the soft ranks of a row from the exact ranks; it depends on the "
        "temperature, which means something else in each relaxation"
    )

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        o = self.options
        make = self._maker(device, o.n)

        def published(x: Tensor) -> Tensor:
            ranks = torch.arange(o.n, 0, -1, dtype=x.dtype, device=x.device)
            return ranks @ self._published(x, 20)

        def ours(relaxation: SortRelaxation) -> Implementation:
            return Implementation(
                relaxation,
                lambda: make(lambda x: rank(x, o.temperature, relaxation, descending=False)),
                _NOTES[relaxation],
            )

        def projected(regularisation: str) -> Call:
            import torchsort

            return make(lambda x: torchsort.soft_rank(x, regularisation, o.temperature))

        def softtorch(method: str, mode: str, note: str) -> Implementation:
            return Implementation(
                f"softtorch, {method}",
                lambda: make(_softtorch("rank", method, o.temperature, mode)),
                note,
                baseline="softtorch",
            )

        return [
            Implementation(
                "log form, 20 iterations",
                lambda: make(published),
                "transport to equally spaced anchors, unrolled",
                reference=True,
            ),
            *map(ours, _NOTES),
            Implementation(
                "torchsort, l2",
                lambda: projected("l2"),
                "projection onto the permutahedron, compiled C++",
                baseline="torchsort",
            ),
            Implementation(
                "torchsort, kl",
                lambda: projected("kl"),
                "projection with an entropic regulariser, compiled C++",
                baseline="torchsort",
            ),
            softtorch("softsort", "smooth", "columns: softmax of the same distances"),
            softtorch("neuralsort", "smooth", "with a smoothed absolute value"),
            softtorch("fast_soft_sort", "c0", "projection onto the permutahedron, Numba"),
        ]

    def oracle(self, device: torch.device) -> Tensor:
        """Expected distances ``[batch]``, which are 0."""
        return torch.zeros(self.options.batch, dtype=torch.float64, device=device)

    def compared(self, result: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Mean distances from the exact ranks ``[batch]``."""
        soft = result[0].double()
        exact = self.inputs(soft.device)[0].argsort(-1).argsort(-1) + 1
        return (soft - exact).abs().mean(-1)


def _softtorch(
    function: str, method: str, softness: float, mode: str = "smooth", descending: bool = False
) -> Function:
    """Return a function of SoftTorch with the temperature in the unit of the values.

    By default it standardises the values of a row and squashes them to (0, 1) first.
    """
    import softtorch

    return partial(
        getattr(softtorch, function),
        dim=-1,
        descending=descending,
        softness=softness,
        mode=mode,
        method=method,
        standardize=False,
    )
