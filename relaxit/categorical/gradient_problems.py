"""Gradient problems with costs in closed form, by default on categories and bits."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor

from relaxit import Options, Relaxation, Unsupported
from relaxit.categorical.binary import Binary
from relaxit.categorical.categorical import Categorical
from relaxit.gradients import GradientProblem, Point, ProblemCase, Surroundings

__all__ = ["PolynomialCost", "Powers"]


class PowersOptions(Options):
    """Options of :class:`Powers`."""

    points: int = Field(5, ge=1, description="number of random params and weights to average over")


class Powers(GradientProblem):
    """``(w . z + 1/4) ** p`` for p = 1, 2, 3, with one variable and with two.

    Weights are ``N(1/2, 1)`` and params ``N(0, 1)``. Each variable has its own weights.
    """

    api = 1
    name = "powers"
    summary = "linear, quadratic and cubic costs of one variable and of two"
    Options = PowersOptions

    def cases(self, around: Surroundings) -> Iterator[ProblemCase]:
        relaxation = around.relaxation or Categorical(categories=5)
        for variables in (1, 2):
            around.require_states(relaxation, variables)
            for power, label in enumerate(("linear", "quadratic", "cubic"), start=1):
                words = label if variables == 1 else f"{label}, two variables"
                points = [
                    self._point(relaxation, variables, power, number, around)
                    for number in range(self.options.points)
                ]
                yield ProblemCase(words, relaxation, tuple(points))

    @staticmethod
    def _point(
        relaxation: Relaxation, variables: int, power: int, number: int, around: Surroundings
    ) -> Point:
        generator = around.generator(number)
        shapes = (relaxation.param_shape, relaxation.event_shape)
        params, weights = (
            torch.randn(variables, *shape, generator=generator, dtype=torch.float64).to(
                around.device, around.dtype
            )
            for shape in shapes
        )
        weights = weights + 0.5
        dims = tuple(range(-weights.dim(), 0))

        def cost(z: Tensor) -> Tensor:
            return ((weights * z).sum(dims) + 0.25) ** power

        return Point(params, cost)


class PolynomialCostOptions(Options):
    """Options of :class:`PolynomialCost`."""

    bits: int = Field(128, ge=1, description="number of variables")
    target: float = Field(0.45, description="value at which the cost of an entry is 0")


class PolynomialCost(GradientProblem):
    """Polynomial programming: the mean over entries of ``|z - target| ** p`` for p = 1.5, 2, 3.

    The variables are separate, and the values are zeros and ones, so that the expected cost is
    linear in the marginals mu: the mean of ``mu |1 - target|**p + (1 - mu) |target|**p``. Params
    are ``N(0, 1)``.

    Reference: Liu, Dong, Liu, Yu, Gao, "Bridging Discrete and Backpropagation", arXiv:2304.08612.
    The costs and the number of bits agree with it.
    """

    api = 1
    name = "polynomial-cost"
    summary = "polynomial programming: 128 bits, distance from 0.45 to the power of 1.5, 2 and 3"
    Options = PolynomialCostOptions
    references = ("arXiv:2304.08612",)

    def cases(self, around: Surroundings) -> Iterator[ProblemCase]:
        relaxation = around.relaxation or Binary()
        _require_bits(relaxation)
        shape = (self.options.bits, *relaxation.param_shape)
        drawn = torch.randn(shape, generator=around.generator(), dtype=torch.float64)
        params = drawn.to(around.device, around.dtype)
        for power in (1.5, 2.0, 3.0):
            yield ProblemCase(
                f"p = {power:g}", relaxation, (self._point(relaxation, params, power),)
            )

    def _point(self, relaxation: Relaxation, params: Tensor, power: float) -> Point:
        target = self.options.target
        dims = tuple(range(-1 - len(relaxation.event_shape), 0))

        def cost(z: Tensor) -> Tensor:
            return ((z - target).abs() ** power).mean(dims)

        leaf = params.clone().requires_grad_()
        distribution = relaxation.discrete(leaf)
        slope = abs(1 - target) ** power - abs(target) ** power
        (gradient,) = torch.autograd.grad(slope * distribution.mean.mean(), leaf)
        return Point(params, cost, gradient)


def _require_bits(relaxation: Relaxation) -> None:
    """Check that values are zeros and ones with known marginals, as the closed form requires."""
    if not relaxation.capabilities.discrete_distribution:
        raise Unsupported(
            f"the exact gradient of this problem needs the discrete distribution, which relaxation "
            f"{relaxation.name!r} does not have"
        )
    zeros = torch.zeros(64, *relaxation.param_shape)
    hard = relaxation(zeros).sample_hard(generator=torch.Generator().manual_seed(0))
    if not bool(((hard == 0) | (hard == 1)).all()):
        raise Unsupported(
            f"the exact gradient of this problem needs values of zeros and ones, which "
            f"{relaxation!r} does not have"
        )
