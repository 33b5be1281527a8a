r"""The score function with a control variate of perturbed scores, shared by REBAR and RELAX.

With perturbed scores z, their vertex b = argmax z, and new perturbed scores z' given b,

    grad = (f(b) - c(z')) grad log p(b) + grad c(z) - grad c(z'),

where z and z' are functions of the params for fixed noise, so that the last two gradients go
through ``perturb`` and ``perturb_given``. Unbiased for any function c, because z' is distributed as
z.

All gradients in the params are computed together with the surrogate, row by row, because a learned
c is trained on them: it descends the gradient of their square, whose mean is the variance plus a
constant. The graph of the surrogate consists of that of f(b) and one inner product.

References: Tucker, Mnih, Maddison, Lawson, Sohl-Dickstein, arXiv:1703.07370; Grathwohl, Choi, Wu,
Roeder, Duvenaud, arXiv:1711.00123.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from relaxit.aliases import Generator
from relaxit.arithmetic import without_autocast
from relaxit.autograd import Levels, in_all_modes, no_change
from relaxit.dtypes import compute_dtype
from relaxit.errors import Unsupported
from relaxit.estimators.base import OMITTED, StatefulEstimator
from relaxit.estimators.common.cost_gradient import cost_and_gradient
from relaxit.estimators.common.costs import Cost, checked_cost
from relaxit.estimators.common.score_function import (
    add_gradient,
    expand_to_rank,
    inner_product,
    sum_to,
)
from relaxit.perturb import PerturbAndRelax
from relaxit.relaxation import Relaxation, RelaxedDistribution

__all__ = ["ControlVariate", "Draw", "gradients_of"]

Pull = Callable[[tuple[Tensor, Tensor, Tensor]], tuple[Tensor]]


@dataclass(frozen=True)
class Draw:
    """A hard sample, its perturbed scores, and perturbed scores given it, all without graph.

    Attributes:
        hard: hard sample b, ``[*batch, *event_shape]``.
        costs: costs of the hard sample, ``[*lead]``.
        scores: perturbed scores z, ``[*batch, *param_shape]``.
        given: perturbed scores z' given b, of the same shape.
        mass: log-mass log p(b), ``[*batch]``.
        pull: vector-Jacobian product of mass, scores and given with respect to the params.
    """

    hard: Tensor
    costs: Tensor
    scores: Tensor
    given: Tensor
    mass: Tensor
    pull: Pull

    def gradient(self, weight: Tensor, at_scores: Tensor, at_given: Tensor) -> Tensor:
        """Compute ``weight grad log p(b) + <at_scores, dz> + <at_given, dz'>``.

        Args:
            weight: weights ``[*lead]``.
            at_scores: cotangent of z, ``[*batch, *param_shape]``.
            at_given: cotangent of z', of the same shape.

        Returns:
            The gradient ``[*batch, *param_shape]``.
        """
        factor = expand_to_rank(weight.to(self.mass.dtype), self.mass.dim()).expand_as(self.mass)
        (gradient,) = self.pull((factor, at_scores, at_given))
        return gradient


class ControlVariate(StatefulEstimator):
    """An estimator of this form. Implement :meth:`parts`."""

    hard = True
    exact_draw = True
    unbiased = "any"

    def check(self, relaxation: Relaxation) -> None:
        self._needs_discrete_distribution(relaxation, instead="st-gumbel")
        able = relaxation.capabilities.exact_rounding and isinstance(relaxation, PerturbAndRelax)
        if not able:
            raise Unsupported(
                f"estimator {self.name!r} needs perturbed scores whose argmax follows the discrete "
                "distribution (capability exact_rounding of a PerturbAndRelax), which relaxation "
                f"{relaxation.name!r} does not have; try 'rloo'"
            )
        self._needs_conditional(relaxation)

    @property
    def differentiates(self) -> bool:
        """Whether the cost is differentiated, on soft samples."""
        return True

    @abstractmethod
    def parts(
        self, q: RelaxedDistribution, cost: Cost, draw: Draw, state: nn.Module | None, learns: bool
    ) -> list[Tensor]:
        """Return the terms of the gradient of each row, each ``[*batch, *param_shape]``.

        They have no graph, except to the parameters of the state if it learns.
        """

    def surrogate(
        self,
        q: RelaxedDistribution,
        cost: Cost,
        generator: Generator = None,
        state: nn.Module | None = OMITTED,
    ) -> Tensor:
        state = self.given_state(state)
        self.check(q.relaxation)
        cost = checked_cost(self.name, q, cost, differentiated=self.differentiates)
        relaxation = q.relaxation
        assert isinstance(relaxation, PerturbAndRelax)  # as check() requires

        def pieces(params: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
            scores = relaxation.perturb(params, torch.Size(), generator)
            hard = relaxation.argmax(scores.detach()).to(q.params.dtype)
            given = relaxation.perturb_given(params, hard, torch.Size(), generator)
            mass: Tensor = relaxation.discrete(params).log_prob(hard)
            return (mass, scores, given), hard.detach()

        transform: Any = torch.func.vjp
        # No gradient for the graph outside; the transform has its own.
        with torch.no_grad(), without_autocast(q.params):
            # At least float32: the squares of estimates overflow in float16.
            params = q.params.detach().to(compute_dtype(q.params.dtype))
            (mass, scores, given), pull, hard = transform(pieces, params, has_aux=True)
        value = cost(hard)
        lead = value.shape
        if not torch.is_grad_enabled():
            return value
        draw = Draw(hard, value.detach(), scores, given, mass, pull)
        learns = state is not None and state.training
        with torch.set_grad_enabled(learns):
            parts = self.parts(q, cost, draw, state, learns)
            total = torch.stack(parts).sum(0)
        extra = inner_product(lead, q.params, total)
        if learns:
            square = _falling_square(total, parts)
            down: Tensor = in_all_modes(_Down, _DownBothModes, no_change, square)
            extra = extra + sum_to(lead, down)
        return add_gradient(value, extra)


class _Down(torch.autograd.Function):
    """The identity, whose gradient descends even if the surrogate is maximised, as a reward."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, levels: Levels | None) -> Tensor:
        del levels
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.levels = inputs[1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.abs(), None


class _DownBothModes(_Down):
    @staticmethod
    def jvp(ctx: Any, x: Tensor, _: None) -> Tensor:
        ctx.levels.number += 1
        return x.clone()


def _falling_square(total: Tensor, parts: list[Tensor]) -> Tensor:
    """Return a tensor whose gradient in the state's parameters is that of the squared estimate.

    It is relative to the mean square of the parts over the batch. Its size then neither grows with
    that of the costs nor without bound, where some costs would make a weight diverge.
    """
    size = torch.stack([part.detach().square().mean() for part in parts]).sum()
    return total.detach() * total * (2 / size.clamp_min(torch.finfo(size.dtype).tiny))


def gradients_of(q: RelaxedDistribution, cost: Cost, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cost of the soft sample of z', and the gradients of the cost in z and in z'."""
    relaxation = q.relaxation
    assert isinstance(relaxation, PerturbAndRelax)
    params, temperature = q.params.detach(), q.aligned_temperature

    def of_scores(scores: Tensor) -> Tensor:
        with without_autocast(scores):
            soft = relaxation.relax(scores, temperature).to(params.dtype)
        return cost(relaxation.finish(soft, params))

    _, at_scores = cost_and_gradient(of_scores, draw.scores)
    costs, at_given = cost_and_gradient(of_scores, draw.given)
    return costs, at_scores, at_given
