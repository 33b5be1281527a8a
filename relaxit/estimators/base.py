"""The second extension point: how a gradient crosses a discrete sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor

from relaxit.errors import Unsupported
from relaxit.options import Configured
from relaxit.relaxation import Relaxation, RelaxedDistribution

__all__ = ["Cost", "Estimator", "SampleEstimator"]

Cost = Callable[[Tensor], Tensor]
"""Maps a value ``[*batch, *event]`` to costs whose shape leads the batch shape."""


class Estimator(Configured, ABC):
    """An estimate of the gradient of an expected cost with respect to the parameters of a law.

    Attributes:
        hard: whether the cost is evaluated on vertices (True) or on soft values (False). It
            decides which bound an objective computes.
        exact_draw: whether its hard values are drawn from the discrete law itself, and not by
            rounding a soft draw, which may follow another law.
        unbiased: the widest class of costs for which the expected gradient is exact at temperature
            1: ``"linear"``, ``"quadratic"`` or ``"any"``; empty if there is none. The expectation
            meant is that over hard values if ``hard``, over soft ones otherwise.
    """

    kind: ClassVar[str] = "estimator"
    hard: ClassVar[bool]
    exact_draw: ClassVar[bool] = False
    unbiased: ClassVar[Literal["", "linear", "quadratic", "any"]] = ""

    def check(self, relaxation: Relaxation) -> None:
        """Refuse a relaxation that lacks what this estimator needs.

        Raises:
            Unsupported: naming the missing capability.
        """
        del relaxation

    def _needs_discrete_law(self, relaxation: Relaxation, instead: str) -> None:
        if not relaxation.capabilities.discrete_law:
            raise Unsupported(
                f"estimator {self.name!r} needs the discrete law, which relaxation "
                f"{relaxation.name!r} does not have; try {instead!r}"
            )

    @abstractmethod
    def surrogate(
        self, q: RelaxedDistribution, cost: Cost, generator: torch.Generator | None = None
    ) -> Tensor:
        """Costs of a sample, with a backward pass that estimates the gradient of their mean.

        Args:
            q: the law to sample.
            cost: maps a value ``[*batch, *event]`` to ``[*lead]``, where ``lead`` begins the batch
                shape (one cost per image, say, over a batch of images times latents).
            generator: source of randomness.

        Returns:
            ``[*lead]``, the costs themselves.
        """


class SampleEstimator(Estimator):
    """An estimator that acts through the sample's backward pass. Write :meth:`sample`."""

    @abstractmethod
    def sample(
        self,
        q: RelaxedDistribution,
        sample_shape: torch.Size | tuple[int, ...] = torch.Size(),
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """A value ``[*sample, *batch, *event]`` through which the gradient passes."""

    def surrogate(
        self, q: RelaxedDistribution, cost: Cost, generator: torch.Generator | None = None
    ) -> Tensor:
        return cost(self.sample(q, generator=generator))
