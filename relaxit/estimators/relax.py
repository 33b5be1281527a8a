r"""RELAX: the score function, with a learned control variate.

    grad = (f(b) - c(z')) grad log p(b) + grad c(z) - grad c(z'),
    c(z) = eta f(y(z)) + s r(z),

with perturbed scores z, their vertex b, and new perturbed scores z' given b. r is a network with
one hidden layer; its input is all perturbed scores that one cost depends on, and its output is
initially 0. The cost minus the first term of c has standard deviation s and a mean that serves as
baseline, both estimated as moving averages over earlier steps. The first term of c is that of REBAR
and is omitted with ``rebar=False``; the cost then need not be differentiable.

Unbiased for any cost and any r. The state holds log eta, r and the moving averages, and is trained
by gradient descent on the squared estimate. Without a state r is 0, which gives REBAR, or with
``rebar=False`` the score function without a baseline.

Three evaluations of the cost, one on vertices and two on soft samples (with ``rebar=False`` one, on
vertices). The parameters of the cost get the gradient of f(b) alone. Requires the discrete
distribution, perturbed scores whose argmax follows it, and perturbed scores given the vertex
(capability ``conditional``).

Reference: Grathwohl, Choi, Wu, Roeder, Duvenaud, "Backpropagation through the Void: Optimizing
control variates for black-box gradient estimation", arXiv:1711.00123, section 3.2 and appendix B.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from relaxit.arithmetic import full_precision_matmul
from relaxit.errors import ShapeError
from relaxit.estimators.common.control_variate import ControlVariate, Draw, gradients_of
from relaxit.estimators.common.costs import Cost
from relaxit.estimators.common.running_averages import RunningMoments
from relaxit.estimators.rebar import RebarState
from relaxit.options import Options
from relaxit.relaxation import Relaxation, RelaxedDistribution

__all__ = ["RelaxEstimator", "RelaxOptions", "RelaxState"]


class RelaxOptions(Options):
    """Options of :class:`RelaxEstimator`."""

    hidden: int = Field(64, ge=1, description="width of the hidden layer of the network")
    rebar: bool = Field(
        True, description="whether eta times the relaxed cost is added to the network"
    )
    eta: float = Field(1.0, gt=0, description="initial weight of the relaxed cost")
    decay: float = Field(0.99, ge=0, lt=1, description="weight of the past in the moving averages")


class RelaxState(RebarState):
    """The network r, its scale and baseline, and log eta.

    Args:
        options: options of the estimator.
        size: number of perturbed scores that one cost depends on.
    """

    def __init__(self, options: RelaxOptions, size: int) -> None:
        super().__init__(options.eta, options.rebar)
        self.size = size
        self.inner = nn.Linear(size, options.hidden)
        self.outer = nn.Parameter(torch.zeros(options.hidden))
        self.moments = RunningMoments(options.decay)

    def network(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the network and its slope at scores ``[*lead, size]``.

        The slope is written out, so that the gradient of the squared estimate, which depends on it,
        is an ordinary first-order gradient.

        Returns:
            The values ``[*lead]`` and the slopes ``[*lead, size]``.
        """
        fixed = scores.isinf()
        rows = scores.masked_fill(fixed, 0.0).unsqueeze(-2)
        hidden = (full_precision_matmul(rows, self.inner.weight.mT) + self.inner.bias).tanh()
        value = (hidden * self.outer).sum((-1, -2))
        slope = full_precision_matmul(
            (1 - hidden.square()) * self.outer, self.inner.weight
        ).squeeze(-2)
        return value, slope.masked_fill(fixed, 0.0)


class RelaxEstimator(ControlVariate):
    """The score function with a learned control variate, whose gradient is added back.

    Example:
        >>> import torch, relaxit
        >>> logits = torch.zeros(2, 4, requires_grad=True)
        >>> categorical = relaxit.get("categorical", categories=4)
        >>> relax = relaxit.estimator("relax", rebar=False)
        >>> state = relax.build_state(categorical, variables=2)
        >>> prizes = torch.arange(4.0)
        >>> cost = lambda z: (z @ prizes).prod(-1)
        >>> relax.surrogate(categorical(logits), cost, state=state).backward()
        >>> logits.grad.shape, state.outer.grad.shape
        (torch.Size([2, 4]), torch.Size([64]))
    """

    api = 1
    name = "relax"
    summary = "score function, learned control variate"
    Options = RelaxOptions
    state_type = RelaxState
    references = ("arXiv:1711.00123, section 3.2",)

    @property
    def differentiates(self) -> bool:
        return bool(self.options.rebar)

    def evaluations(self, relaxation: Relaxation, variables: int = 1) -> int:
        del relaxation, variables
        return 3 if self.options.rebar else 1

    def build_state(self, relaxation: Relaxation, variables: int) -> RelaxState:
        return RelaxState(self.options, variables * math.prod(relaxation.param_shape))

    def parts(
        self, q: RelaxedDistribution, cost: Cost, draw: Draw, state: nn.Module | None, learns: bool
    ) -> list[Tensor]:
        zero = torch.zeros_like(draw.scores)
        terms, remainder, eta = [], draw.costs, self.options.eta
        baseline = zero.new_zeros(())
        if state is not None:
            assert isinstance(state, RelaxState)
            eta, baseline = state.log_eta.exp(), state.moments.mean()
            terms.append(self._learned(draw, state))
        if self.options.rebar:
            costs, at_scores, at_given = gradients_of(q, cost, draw)
            terms.append(eta * draw.gradient(-costs, at_scores, -at_given))
            remainder = remainder - eta * costs
        if learns:
            assert isinstance(state, RelaxState)
            state.moments.update(remainder)
        return [draw.gradient(draw.costs - baseline, zero, zero), *terms]

    def _learned(self, draw: Draw, state: RelaxState) -> Tensor:
        """Compute the contribution of the network to the estimate, ``[*batch, *param_shape]``."""
        scale, lead = state.moments.deviation(), draw.costs.shape
        (_, at_scores), (value, at_given) = (
            state.network(self._flat(scores, lead, state)) for scores in (draw.scores, draw.given)
        )
        like = draw.scores
        return draw.gradient(
            -scale * value,
            (scale * at_scores).reshape(like.shape).to(like.dtype),
            -(scale * at_given).reshape(like.shape).to(like.dtype),
        )

    def _flat(self, scores: Tensor, lead: torch.Size, state: RelaxState) -> Tensor:
        size = math.prod(scores.shape[len(lead) :])
        if size != state.size:
            raise ShapeError(
                f"estimator {self.name!r}: the state was built for {state.size} perturbed scores "
                f"per cost, but there are {size}"
            )
        return scores.reshape(*lead, size).to(state.outer.dtype)
