"""The second extension point: how a gradient crosses a discrete sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from relaxit.arithmetic import without_autocast
from relaxit.errors import Unsupported
from relaxit.options import Configured
from relaxit.relaxation import Relaxation, RelaxedDistribution

__all__ = [
    "Cost",
    "DrawEstimator",
    "Estimator",
    "SampleEstimator",
    "StatefulEstimator",
    "surrogate_with",
]

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

    @property
    def own_distribution(self) -> bool:
        """Whether its hard values follow a law of its own, neither ``q.discrete`` nor ``q.draw``.

        Some options may make it so, as a scaled noise does. An objective then says that the values
        are not those of the law whose divergence it uses.
        """
        return False

    def evaluations(self, relaxation: Relaxation, variables: int = 1) -> int:
        """How often the cost is called for one estimate, each time with one value a row.

        Args:
            relaxation: the structure.
            variables: number of variables that one cost depends on.
        """
        del relaxation, variables
        return 1

    def check(self, relaxation: Relaxation) -> None:
        """Refuse a relaxation that lacks what this estimator needs.

        Raises:
            Unsupported: naming the missing capability.
        """
        del relaxation

    def check_joint(self, relaxation: Relaxation, variables: int) -> None:
        """Refuse a cost of so many variables at once. Nothing is refused by default.

        Raises:
            Unsupported: naming the number and the limit.
        """
        del relaxation, variables

    def _needs_discrete_distribution(self, relaxation: Relaxation, instead: str) -> None:
        if not relaxation.capabilities.discrete_distribution:
            raise Unsupported(
                f"estimator {self.name!r} needs the discrete law, which relaxation "
                f"{relaxation.name!r} does not have; try {instead!r}"
            )

    def _needs_logits(
        self, relaxation: Relaxation, kinds: tuple[str, ...] = ("category", "bits")
    ) -> None:
        if relaxation.capabilities.logits not in kinds:
            wanted = {"category": "of one category", "bits": "of independent bits"}
            listed = " or ".join(wanted[kind] for kind in kinds)
            raise Unsupported(
                f"estimator {self.name!r} needs params that are logits {listed}, which relaxation "
                f"{relaxation.name!r} does not have; try 'st-gumbel'"
            )

    def _needs_conditional(self, relaxation: Relaxation) -> None:
        if not relaxation.capabilities.conditional:
            raise Unsupported(
                f"estimator {self.name!r} needs perturbed scores given the hard value (capability "
                f"conditional), which relaxation {relaxation.name!r} does not have; try 'st-gumbel'"
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
        with without_autocast(q.params):  # the cost, a network perhaps, is the caller's to cast
            value = self.sample(q, generator=generator)
        costs = cost(value)
        if not costs.is_floating_point():
            raise Unsupported(
                f"estimator {self.name!r} differentiates the cost, and one of {costs.dtype} has no "
                "slope; return floating numbers, or try 'rloo'"
            )
        return costs


class DrawEstimator(SampleEstimator):
    """An estimator that gives an exact draw of the discrete law a gradient. Write :meth:`given`.

    As the draw comes in as an argument, its expectation can be worked out by going through all
    hard values, which the checks and ``relaxit bench gradients`` do.
    """

    hard = True
    exact_draw = True

    @abstractmethod
    def given(
        self, q: RelaxedDistribution, hard: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """The value ``hard``, to the last bit, with this estimator's gradient.

        Args:
            q: the law that ``hard`` was drawn from.
            hard: ``[*sample, *batch, *event]``, vertices, without gradient.
            generator: source of further randomness, if there is any.
        """

    def check(self, relaxation: Relaxation) -> None:
        self._needs_discrete_distribution(relaxation, instead="st-gumbel")

    def sample(
        self,
        q: RelaxedDistribution,
        sample_shape: torch.Size | tuple[int, ...] = torch.Size(),
        generator: torch.Generator | None = None,
    ) -> Tensor:
        self.check(q.relaxation)
        return self.given(q, q.sample_hard(sample_shape, generator), generator)


class StatefulEstimator(Estimator):
    """An estimator that keeps or learns something from step to step: a baseline, a control variate.

    The estimator itself stays a frozen object of its options; what changes is a module, which a
    trainer puts into the model, so that it is trained, saved and restored with it. Without one an
    estimate is as unbiased, only noisier.
    """

    @abstractmethod
    def build_state(self, relaxation: Relaxation, variables: int) -> nn.Module:
        """What is kept, as it is before the first step.

        Args:
            relaxation: the structure.
            variables: number of variables that one cost depends on.
        """

    @abstractmethod
    def surrogate(
        self,
        q: RelaxedDistribution,
        cost: Cost,
        generator: torch.Generator | None = None,
        state: nn.Module | None = None,
    ) -> Tensor:
        """As :meth:`Estimator.surrogate`, with what :meth:`build_state` made.

        If the state is in training mode and gradients are on, its buffers are brought up to date,
        and the backward pass gives its parameters their gradient.
        """


def surrogate_with(
    state: nn.Module | None,
    estimator: Estimator,
    q: RelaxedDistribution,
    cost: Cost,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The surrogate of an estimator with its state, if it is one that keeps any.

    Example:
        >>> import torch, relaxit
        >>> q = relaxit.get("categorical", categories=3)(torch.zeros(2, 3))
        >>> surrogate_with(None, relaxit.estimator("st-gumbel"), q, lambda z: z.sum(-1))
        tensor([1., 1.])
    """
    if isinstance(estimator, StatefulEstimator):
        return estimator.surrogate(q, cost, generator, state)
    return estimator.surrogate(q, cost, generator)
