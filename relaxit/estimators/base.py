"""Base classes of gradient estimators, the second extension point of relaxit."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final, Literal

import torch
from torch import Tensor, nn

from relaxit.aliases import Generator, Shape
from relaxit.arithmetic import without_autocast
from relaxit.errors import Unsupported
from relaxit.estimators.common.costs import Cost, Numbers, checked_cost
from relaxit.options import Configured
from relaxit.relaxation import Relaxation, RelaxedDistribution
from relaxit.tracing import in_backward

__all__ = [
    "OMITTED",
    "DrawEstimator",
    "Estimator",
    "MissingStateWarning",
    "SampleEstimator",
    "StatefulEstimator",
    "surrogate_with",
]


class _Omitted:
    def __repr__(self) -> str:
        return "OMITTED"


OMITTED: Final[Any] = _Omitted()
"""Default of ``state``: it was not passed, which is reported. None says that there is none."""


class MissingStateWarning(UserWarning):
    """A stateful estimator runs without its state, which was not passed."""


class Estimator(Configured, ABC):
    """An estimator of the gradient of an expected cost in the parameters of a distribution.

    Attributes:
        hard: whether the cost is evaluated on vertices (True) or on soft samples (False). It
            decides which bound an objective computes.
        exact_draw: whether hard samples are drawn from the discrete distribution itself, and not by
            rounding a soft sample, which may follow another distribution.
        unbiased: the widest class of costs for which the expected gradient is exact at temperature
            1: ``"linear"``, ``"quadratic"`` or ``"any"``; empty if there is none. The expectation
            is over hard samples if ``hard``, and over soft samples otherwise.
    """

    kind: ClassVar[str] = "estimator"
    hard: ClassVar[bool]
    exact_draw: ClassVar[bool] = False
    unbiased: ClassVar[Literal["", "linear", "quadratic", "any"]] = ""
    _needs_the_cost: ClassVar[str] = "chooses the values at which the cost is evaluated"

    @property
    def own_distribution(self) -> bool:
        """Whether hard samples follow neither ``q.discrete`` nor ``q.draw``.

        This may depend on the options, such as a scaled noise. An objective then states that the
        samples are not those of the distribution whose divergence it uses.
        """
        return False

    def evaluations(self, relaxation: Relaxation, variables: int = 1) -> int:
        """Return how often the cost is called for one estimate, each time with one value per row.

        Args:
            relaxation: the structure.
            variables: number of variables that one cost depends on.
        """
        del relaxation, variables
        return 1

    def check(self, relaxation: Relaxation) -> None:
        """Reject a relaxation that lacks what this estimator needs.

        Raises:
            Unsupported: naming the missing capability.
        """
        del relaxation

    def check_joint(self, relaxation: Relaxation, variables: int) -> None:
        """Reject a cost that depends on too many variables. The default accepts any number.

        Raises:
            Unsupported: naming the number and the limit.
        """
        del relaxation, variables

    def _needs_discrete_distribution(self, relaxation: Relaxation, instead: str) -> None:
        if not relaxation.capabilities.discrete_distribution:
            raise Unsupported(
                f"estimator {self.name!r} needs the discrete distribution, which relaxation "
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
                f"estimator {self.name!r} needs perturbed scores given the hard sample (capability "
                f"conditional), which relaxation {relaxation.name!r} does not have; try 'st-gumbel'"
            )

    @abstractmethod
    def surrogate(self, q: RelaxedDistribution, cost: Cost, generator: Generator = None) -> Tensor:
        """Compute costs whose backward pass estimates the gradient of the expected cost.

        Args:
            q: the distribution to sample from.
            cost: function from values ``[*batch, *event]`` to ``[*lead]``, where ``lead`` begins
                the batch shape (one cost per image, for a batch of images times latents). It
                returns a tensor; an estimator that does not differentiate it also accepts numbers,
                lists of numbers and NumPy arrays.
            generator: source of randomness.

        Returns:
            The costs ``[*lead]``, floating, on the device of params.

        Raises:
            TypeError: if the cost does not return real numbers, or is differentiated and does not
                return a tensor.
            ShapeError: if the shape of the costs does not begin the batch shape: ``[B, 1]`` for
                ``[B]``.
            Unsupported: if the relaxation lacks what is needed, or the cost is differentiated and
                has no gradient.
        """

    def loss(
        self,
        q: RelaxedDistribution,
        action: Numbers,
        reward: Numbers,
        state: nn.Module | None = OMITTED,
    ) -> Tensor:
        """Compute a loss to minimise for actions drawn earlier, from the rewards that they got.

        It is the surrogate of the cost ``-reward`` on these draws, in value and gradient. Its mean
        estimates the gradient of the expected reward without bias if the actions were drawn from
        ``q`` as it is now, and not from older params.

        Args:
            q: the distribution with its current params.
            action: hard values ``[*sample, *batch, *event]``, as ``q.sample_hard`` draws them; for
                one of K categories also their int64 indices ``[*sample, *batch]``.
            reward: rewards ``[*sample, *lead]``, to be maximised: a tensor, an array, a list or a
                number.
            state: state of a stateful estimator; others ignore it.

        Returns:
            The loss ``[*lead]``, the mean over samples of the negative rewards.

        Raises:
            Unsupported: by estimators that need the cost as a function.
            TypeError: if action or reward are not real numbers.
            ShapeError: if their shapes do not fit each other and ``q``.
            DomainError: if an action has mass 0 under ``q`` (checked in eager code on the CPU).

        Example:
            >>> import torch, relaxit
            >>> logits = torch.zeros(2, 3, requires_grad=True)
            >>> q = relaxit.get("categorical", categories=3)(logits)
            >>> action = torch.tensor([[0, 2], [1, 2]])  # two samples for each of two states
            >>> loss = relaxit.estimator("rloo").loss(q, action, [[1.0, 0.0], [0.0, 3.0]])
            >>> loss.mean().backward()
            >>> loss.tolist(), logits.grad[0].tolist()
            ([-0.5, -1.5], [-0.25, 0.25, 0.0])
        """
        del q, action, reward, state
        raise Unsupported(
            f"estimator {self.name!r} {self._needs_the_cost}, so it has no loss for actions drawn "
            "earlier; use surrogate(q, cost), or estimator 'rloo' or 'reinforce'"
        )


class SampleEstimator(Estimator):
    """An estimator that acts through the backward pass of the sample. Implement :meth:`sample`."""

    _needs_the_cost = "differentiates the cost as a function of the sample"

    @abstractmethod
    def sample(
        self, q: RelaxedDistribution, sample_shape: Shape = (), generator: Generator = None
    ) -> Tensor:
        """Draw samples ``[*sample, *batch, *event]`` through which the gradient passes."""

    def surrogate(self, q: RelaxedDistribution, cost: Cost, generator: Generator = None) -> Tensor:
        with without_autocast(q.params):  # outside of it: the cost may be a network under autocast
            value = self.sample(q, generator=generator)
        return checked_cost(self.name, q, cost, differentiated=True)(value)


class DrawEstimator(SampleEstimator):
    """An estimator that adds a gradient to an exact discrete draw. Implement :meth:`given`.

    As the draw is an argument, the expectation can be computed by enumerating all hard values,
    which the checks and ``relaxit bench gradients`` do.
    """

    hard = True
    exact_draw = True

    @abstractmethod
    def given(self, q: RelaxedDistribution, hard: Tensor, generator: Generator = None) -> Tensor:
        """Return exactly the value ``hard``, with the gradient of this estimator.

        Args:
            q: the distribution that ``hard`` was drawn from.
            hard: vertices ``[*sample, *batch, *event]``, without gradient.
            generator: source of further randomness, if any is used.
        """

    def check(self, relaxation: Relaxation) -> None:
        self._needs_discrete_distribution(relaxation, instead="st-gumbel")

    def sample(
        self, q: RelaxedDistribution, sample_shape: Shape = (), generator: Generator = None
    ) -> Tensor:
        self.check(q.relaxation)
        return self.given(q, q.sample_hard(sample_shape, generator), generator)


class StatefulEstimator(Estimator):
    """An estimator with a state that is updated or learned: a baseline, a control variate.

    The estimator itself remains a frozen object of its options. The state is a module, which a
    trainer adds to the model, so that it is trained, saved and restored with it. Without a state
    the estimate is equally unbiased, only noisier.

    Attributes:
        state_type: class of the modules that :meth:`build_state` returns; no other is accepted.
    """

    state_type: ClassVar[type[nn.Module]] = nn.Module

    @abstractmethod
    def build_state(self, relaxation: Relaxation, variables: int) -> nn.Module:
        """Create the state as it is before the first step.

        Args:
            relaxation: the structure.
            variables: number of variables that one cost depends on.
        """

    @abstractmethod
    def surrogate(
        self,
        q: RelaxedDistribution,
        cost: Cost,
        generator: Generator = None,
        state: nn.Module | None = OMITTED,
    ) -> Tensor:
        """Compute the costs as :meth:`Estimator.surrogate`, with a state of :meth:`build_state`.

        If the state is in training mode and gradients are enabled, its buffers are updated, and the
        backward pass gives its parameters their gradient. Where it is omitted a
        :class:`MissingStateWarning` is issued; ``state=None`` says that it is left out on purpose.
        """

    @property
    def state_matters(self) -> bool:
        """Whether an estimate with a state differs from one without, with these options."""
        return True

    def given_state(self, state: nn.Module | None) -> nn.Module | None:
        """Return the state; None, with a warning, if it was omitted.

        ``surrogate`` and ``loss`` call this first. There is no warning where gradients are disabled
        or the code is compiled. Python shows it once per line that calls ``surrogate``.

        Raises:
            TypeError: if it is not a module of :attr:`state_type`.
            Unsupported: if the forward pass is computed again by ``torch.utils.checkpoint``, with a
                state that the first pass has updated.
        """
        if state is not OMITTED:
            if state is not None:
                self._check_state(state)
            return state
        if self.state_matters and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            warnings.warn(
                f"estimator {self.name!r} runs without its state (a baseline or control variate), "
                "so its variance is larger; pass state=estimator.build_state(relaxation, variables)"
                " and keep it with the model, or state=None to run without one",
                MissingStateWarning,
                stacklevel=3,
            )
        return None

    def _check_state(self, state: nn.Module) -> None:
        if not isinstance(state, self.state_type):
            raise TypeError(
                f"estimator {self.name!r}: state must be what build_state returned, a "
                f"{self.state_type.__name__}, got {type(state).__name__}"
            )
        if state.training and not torch.compiler.is_compiling() and in_backward():
            raise Unsupported(
                f"estimator {self.name!r}: torch.utils.checkpoint computes the forward pass again, "
                "with a state that the first pass has updated; call the estimator outside of "
                "checkpointed code, or put its state in evaluation mode"
            )


def surrogate_with(
    state: nn.Module | None,
    estimator: Estimator,
    q: RelaxedDistribution,
    cost: Cost,
    generator: Generator = None,
) -> Tensor:
    """Compute the surrogate of an estimator, with its state if it is a stateful one.

    Without a state (None) there is no warning.

    Example:
        >>> import torch, relaxit
        >>> q = relaxit.get("categorical", categories=3)(torch.zeros(2, 3))
        >>> surrogate_with(None, relaxit.estimator("st-gumbel"), q, lambda z: z.sum(-1))
        tensor([1., 1.])
    """
    if isinstance(estimator, StatefulEstimator):
        return estimator.surrogate(q, cost, generator, state)
    return estimator.surrogate(q, cost, generator)
