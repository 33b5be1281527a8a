r"""REBAR: the score function, with the cost of the relaxed sample as control variate.

    grad = (f(b) - eta f(y')) grad log p(b) + eta grad f(y) - eta grad f(y'),

where y is the soft sample of perturbed scores z, at the temperature of the distribution, b the
vertex of z, and y' the soft sample of new perturbed scores given b. Unbiased for any cost that is
differentiable on soft samples, at every temperature and for every eta. The state holds log eta,
which is trained to minimise the squared estimate; without a state eta is the option.

Three evaluations of the cost, one on vertices and two on soft samples. The latter are
differentiated immediately, and their graphs are not kept. The parameters of the cost get the
gradient of f(b) alone. Requires the discrete distribution, perturbed scores whose argmax follows
it, and perturbed scores given the vertex (capability ``conditional``).

Reference: Tucker, Mnih, Maddison, Lawson, Sohl-Dickstein, "REBAR: Low-variance, unbiased gradient
estimates for discrete latent variable models", arXiv:1703.07370, section 3.1 and eq. 4.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from relaxit.estimators.common.control_variate import ControlVariate, Draw, gradients_of
from relaxit.estimators.common.costs import Cost
from relaxit.options import Options
from relaxit.relaxation import Relaxation, RelaxedDistribution

__all__ = ["Rebar", "RebarOptions", "RebarState"]


class RebarOptions(Options):
    """Options of :class:`Rebar`."""

    eta: float = Field(1.0, gt=0, description="weight of the control variate, initial if learned")
    learn: bool = Field(True, description="whether the state learns eta")


class RebarState(nn.Module):
    """The logarithm of eta, which is a parameter if it is learned."""

    log_eta: Tensor

    def __init__(self, eta: float, learn: bool) -> None:
        super().__init__()
        start = torch.tensor(math.log(eta))
        if learn:
            self.log_eta = nn.Parameter(start)
        else:
            self.register_buffer("log_eta", start)


class Rebar(ControlVariate):
    """The score function with a relaxed cost as control variate, whose gradient is added back.

    Example:
        >>> import torch, relaxit
        >>> logits = torch.zeros(4, requires_grad=True)
        >>> q = relaxit.get("categorical", categories=4)(logits, temperature=0.5)
        >>> prizes = torch.arange(4.0)
        >>> rebar = relaxit.estimator("rebar")
        >>> eta = rebar.build_state(q.relaxation, variables=1)
        >>> rebar.surrogate(q, lambda z: (z @ prizes) ** 2, state=eta).backward()
        >>> bool(logits.grad.any())
        True
    """

    api = 1
    name = "rebar"
    summary = "score function, relaxed cost as control variate"
    Options = RebarOptions
    state_type = RebarState
    references = ("arXiv:1703.07370, eq. 4",)

    @property
    def state_matters(self) -> bool:
        return bool(self.options.learn)

    def evaluations(self, relaxation: Relaxation, variables: int = 1) -> int:
        del relaxation, variables
        return 3

    def build_state(self, relaxation: Relaxation, variables: int) -> RebarState:
        del relaxation, variables
        return RebarState(self.options.eta, self.options.learn)

    def parts(
        self, q: RelaxedDistribution, cost: Cost, draw: Draw, state: nn.Module | None, learns: bool
    ) -> list[Tensor]:
        del learns
        costs, at_scores, at_given = gradients_of(q, cost, draw)
        zero = torch.zeros_like(at_scores)
        eta = self.options.eta
        if state is not None:
            assert isinstance(state, RebarState)
            eta = state.log_eta.exp()
        plain = draw.gradient(draw.costs, zero, zero)
        return [plain, eta * draw.gradient(-costs, at_scores, -at_given)]
