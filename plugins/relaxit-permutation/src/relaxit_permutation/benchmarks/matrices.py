"""Benchmarks of Sinkhorn's operator and hard matchings against the published algorithms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from relaxit import Options
from relaxit.bench import Benchmark, Implementation, Unavailable
from relaxit_permutation.benchmarks.baselines import (
    log_sinkhorn,
    log_sinkhorn_until,
    published_matching,
)
from relaxit_permutation.matrices.assignment import assign
from relaxit_permutation.sinkhorn.operator import residual, sinkhorn
from relaxit_permutation.sinkhorn.scaling import scale

__all__ = ["HardMatching", "SinkhornConvergence", "SinkhornIterations"]

_UNROLLED = 20
"""Most iterations for which the unrolled loop is compiled: each takes about a second."""


class MatrixSizes(Options):
    """Sizes of benchmarks whose input is a batch of square matrices."""

    batch: int = Field(default=64, ge=1, description="number of matrices")
    n: int = Field(default=100, ge=1, description="number of rows and columns of a matrix")
    scale: float = Field(default=1.0, ge=0, description="scale of the Gumbel scores")


class IterationSizes(MatrixSizes):
    """Sizes of :class:`SinkhornIterations`."""

    temperature: float = Field(default=1.0, gt=0, description="divisor of the scores")
    iterations: int = Field(default=100, ge=1, description="number of Sinkhorn iterations")


class ConvergenceSizes(MatrixSizes):
    """Sizes of :class:`SinkhornConvergence`."""

    batch: int = Field(default=16, ge=1, description="number of matrices")
    temperature: float = Field(default=0.1, gt=0, description="divisor of the scores")
    tolerance: float = Field(default=1e-4, gt=0, description="error of the sums to reach")
    cap: int = Field(
        default=2000,
        ge=1,
        description="largest number of iterations of implementations without Newton's method",
    )


class MatchingSizes(MatrixSizes):
    """Sizes of :class:`HardMatching`."""

    batch: int = Field(default=256, ge=1, description="number of matrices")
    n: int = Field(default=10, ge=1, description="number of rows and columns of a matrix")


class _Scored(Benchmark):
    """Shared inputs: Gumbel scores, as Gumbel-Sinkhorn draws them, and an upstream gradient."""

    structure = "permutation"
    Options = MatrixSizes
    options: MatrixSizes

    def inputs(self, device: torch.device) -> tuple[Tensor, ...]:
        """Scores ``[batch, n, n]``."""
        return (self.scores_and_gradient(device)[0],)

    def scores_and_gradient(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Scores and an upstream gradient, each ``[batch, n, n]``."""
        generator = torch.Generator().manual_seed(0)
        shape = (self.options.batch, self.options.n, self.options.n)
        exponential = torch.empty(shape).exponential_(generator=generator)
        scores = -exponential.clamp_min(torch.finfo(torch.float32).tiny).log() * self.options.scale
        return scores.to(device), torch.randn(shape, generator=generator).to(device)


class SinkhornIterations(_Scored):
    """A given number of Sinkhorn iterations, forward and backward: value and gradient.

    All implementations make the same number of iterations, except one that stops by itself. The
    published algorithm differentiates the iterations that were made, and the others differentiate
    their limit, so all are compared with the limit.
    """

    api = 1
    name = "sinkhorn-iterations"
    summary = "Sinkhorn's iterations, forward and backward"
    references = ("arXiv:1802.08665 (Gumbel-Sinkhorn)", "arXiv:2205.06688 (implicit gradient)")
    error_is = (
        "distance from the limit of infinitely many iterations and its gradient, including the "
        "error due to the number of iterations"
    )
    Options = IterationSizes
    options: IterationSizes

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        o = self.options
        scores, vector = self.scores_and_gradient(device)
        scores.requires_grad_()

        def published(x: Tensor) -> Tensor:
            return log_sinkhorn(x / o.temperature, o.iterations)

        def equal(x: Tensor) -> Tensor:
            return sinkhorn(x, o.temperature, iterations=o.iterations, newton=0, tolerance=math.inf)

        def default(x: Tensor) -> Tensor:
            return sinkhorn(x, o.temperature)

        def make(function: Callable[[Tensor], Tensor]) -> Callable[[], tuple[Tensor, Tensor]]:
            def call() -> tuple[Tensor, Tensor]:
                soft = function(scores)
                (gradient,) = torch.autograd.grad(soft, scores, vector)
                return soft.detach(), gradient

            return call

        def compiled(function: Callable[[Tensor], Tensor]) -> Callable[[], tuple[Tensor, Tensor]]:
            return make(torch.compile(function, fullgraph=True))

        def unrolled() -> Callable[[], tuple[Tensor, Tensor]]:
            if o.iterations > _UNROLLED:
                raise Unavailable(f"compiling takes minutes beyond {_UNROLLED} iterations")
            return compiled(published)

        return [
            Implementation(
                "log form",
                lambda: make(published),
                "as published, autograd through all iterations",
                reference=True,
            ),
            Implementation(
                "sinkhorn", lambda: make(equal), "the same number of sweeps, implicit gradient"
            ),
            Implementation(
                "sinkhorn, default",
                lambda: make(default),
                "sweeps until converged, or Newton's method; aims at 1e-5",
            ),
            Implementation("log form compiled", unrolled, compiled=True),
            Implementation("sinkhorn compiled", lambda: compiled(equal), compiled=True),
        ]

    def oracle(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The limit and its implicit gradient in float64, iterated until convergence."""
        scores, vector = (part.double() for part in self.scores_and_gradient(device))
        scores.requires_grad_()
        soft = sinkhorn(scores, self.options.temperature)
        return soft.detach(), torch.autograd.grad(soft, scores, vector)[0]


class SinkhornConvergence(_Scored):
    """Doubly stochastic matrices ``[batch, n, n]``, accurate to a tolerance; without gradient."""

    api = 1
    name = "sinkhorn-convergence"
    summary = "Sinkhorn's operator until rows and columns sum to one"
    references = ("arXiv:1802.08665 (Gumbel-Sinkhorn)", "arXiv:1710.06635 (Sinkhorn-Newton)")
    error_is = (
        "the largest error of a row or column sum; above the tolerance if the cap was reached"
    )
    Options = ConvergenceSizes
    options: ConvergenceSizes

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        o = self.options
        (scores,) = self.inputs(device)
        ones = scores.new_ones(o.n)

        def plain() -> Tensor:
            return log_sinkhorn_until(scores / o.temperature, o.tolerance, o.cap)

        def sweeps() -> Tensor:
            x = scores / o.temperature
            return scale(x, ones, ones, o.cap, 0, o.tolerance, math.inf)[0]

        def newton() -> Tensor:
            return sinkhorn(scores, o.temperature, tolerance=o.tolerance)

        return [
            Implementation(
                "log form", lambda: plain, "checks the sums every ten iterations", reference=True
            ),
            Implementation("sweeps", lambda: sweeps, "without Newton's method"),
            Implementation(
                "sinkhorn", lambda: newton, "sweeps, then Newton's method; aims at 1e-5"
            ),
        ]

    def oracle(self, device: torch.device) -> Tensor:
        """Expected errors of the sums ``[batch]``, which are 0."""
        return torch.zeros(self.options.batch, dtype=torch.float64, device=device)

    def compared(self, result: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Errors of the sums ``[batch]``."""
        assert isinstance(result, Tensor)
        return residual(result.double())


class HardMatching(_Scored):
    """The best matching of each matrix, ``[batch, n, n]`` of zeros and ones."""

    api = 1
    name = "hard-matching"
    summary = "best matchings of a batch of matrices"
    references = ("arXiv:1802.08665 (Gumbel-Sinkhorn)",)
    error_is = "total score of a matching minus that of the best matching"
    Options = MatchingSizes
    options: MatchingSizes

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        (scores,) = self.inputs(device)
        return [
            Implementation(
                "published",
                lambda: lambda: published_matching(scores),
                "a sparse matrix per matching, made dense",
                reference=True,
            ),
            Implementation(
                "assign", lambda: lambda: assign(scores), "q.sample_hard without the noise"
            ),
        ]

    def oracle(self, device: torch.device) -> Tensor:
        """The best total score of each matrix, ``[batch]``."""
        from scipy.optimize import linear_sum_assignment  # slow to import

        matrices = self.inputs(device)[0].double().cpu().numpy()
        best = [scores[linear_sum_assignment(scores, maximize=True)].sum() for scores in matrices]
        return torch.from_numpy(np.array(best))

    def compared(self, result: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Total scores, ``[batch]``."""
        assert isinstance(result, Tensor)
        (scores,) = self.inputs(result.device)
        return (result.double() * scores).sum((-1, -2))
