"""The setting in which SIMPLE was compared with other estimators, as a gradient problem."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from pydantic import Field
from torch import Tensor

from relaxit import Relaxation
from relaxit.gradients import GradientProblem, Point, ProblemCase, Surroundings
from relaxit_subset.conditional_poisson.subset import Subset
from relaxit_subset.relaxed.options import SubsetOptions

__all__ = ["SubsetStudy"]


class SubsetStudyOptions(SubsetOptions):
    """Options of :class:`SubsetStudy`."""

    n: int = Field(default=10, ge=1, description="number of items")
    k: int = Field(default=5, ge=0, description="number of items that are chosen, at most n")
    points: int = Field(
        default=10, ge=1, description="number of random params and costs to average over"
    )


class SubsetStudy(GradientProblem):
    """``|z - b|^2`` of a subset z, with logits ``N(0, I)`` and ``b = |N(0, I)|``.

    The cost is written in two ways, as above and as a function that is linear in z. The two agree
    on subsets, where ``z^2 = z``, but differ for soft samples. An estimator that is exact for
    linear costs is exact for the second one only.

    Reference: Ahmed, Zeng, Niepert, Van den Broeck, "SIMPLE", arXiv:2210.01941, section 4.1.
    """

    api = 1
    name = "subset-study"
    summary = "distance of a 5-subset of 10 items from a random vector, written in two ways"
    Options = SubsetStudyOptions
    references = ("arXiv:2210.01941, section 4.1",)

    def cases(self, around: Surroundings) -> Iterator[ProblemCase]:
        relaxation = around.relaxation or Subset(n=self.options.n, k=self.options.k)
        around.require_states(relaxation, 1)
        for label, cost in {"quadratic": _quadratic, "linear": _linear}.items():
            points = [
                _point(relaxation, cost, number, around) for number in range(self.options.points)
            ]
            yield ProblemCase(label, relaxation, tuple(points))


def _point(
    relaxation: Relaxation,
    cost: Callable[[Tensor, Tensor], Tensor],
    number: int,
    around: Surroundings,
) -> Point:
    generator = around.generator(number)
    params = torch.randn(1, *relaxation.param_shape, generator=generator, dtype=torch.float64)
    b = torch.randn(relaxation.event_shape, generator=generator, dtype=torch.float64).abs()
    params, b = (tensor.to(around.device, around.dtype) for tensor in (params, b))
    return Point(params, lambda z: cost(z.flatten(-1 - b.dim()), b.flatten()))


def _quadratic(z: Tensor, b: Tensor) -> Tensor:  # [..., n], [n] -> [...]
    return (z - b).square().sum(-1)


def _linear(z: Tensor, b: Tensor) -> Tensor:
    return (z * (1 - 2 * b)).sum(-1) + b.square().sum()
