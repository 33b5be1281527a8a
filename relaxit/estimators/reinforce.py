r"""REINFORCE: the score function, with the mean of earlier costs as a baseline.

    grad = (f(b) - m) grad log p(b),    b ~ p

Unbiased for any cost. If one cost depends on several variables, p is their joint mass. The baseline
m is an exponential moving average of the costs of *earlier* steps: including the cost of the
current draw would bias the gradient by its share of the batch. The state holds m; without a state
m = 0, which is reported unless ``state=None`` is passed.

One evaluation of the cost, on vertices; the cost need not be differentiable. Memory is that of the
log-mass. Requires the discrete distribution.

References: Williams, "Simple statistical gradient-following algorithms for connectionist
reinforcement learning", Machine Learning 8 (1992), theorem 1; Mnih and Gregor, "Neural Variational
Inference and Learning in Belief Networks", arXiv:1402.0030, section 2.3 (baselines).
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from relaxit.aliases import Generator
from relaxit.estimators.base import OMITTED, StatefulEstimator
from relaxit.estimators.common.costs import Cost, Numbers, checked_cost
from relaxit.estimators.common.given_actions import given_actions
from relaxit.estimators.common.running_averages import RunningMoments
from relaxit.estimators.common.score_function import add_gradient, total_log_prob
from relaxit.options import Options
from relaxit.relaxation import Relaxation, RelaxedDistribution

__all__ = ["Reinforce", "ReinforceOptions"]


class ReinforceOptions(Options):
    """Options of :class:`Reinforce`."""

    decay: float = Field(0.99, ge=0, lt=1, description="weight of the past in the average cost")


class Reinforce(StatefulEstimator):
    """The score function with a moving-average baseline.

    Example:
        >>> import torch, relaxit
        >>> logits = torch.zeros(4, requires_grad=True)
        >>> q = relaxit.get("categorical", categories=4)(logits)
        >>> reinforce = relaxit.estimator("reinforce")
        >>> baseline = reinforce.build_state(q.relaxation, variables=1)
        >>> reinforce.surrogate(q, lambda z: z[..., 0] + 1, state=baseline).backward()
        >>> bool(logits.grad.any())
        True
    """

    api = 1
    name = "reinforce"
    aliases = ("score-function", "likelihood-ratio", "policy-gradient")
    summary = "score function, moving average of the cost as baseline"
    Options = ReinforceOptions
    state_type = RunningMoments
    references = ("Williams, Machine Learning 8 (1992)", "arXiv:1402.0030, section 2.3")
    hard = True
    exact_draw = True
    unbiased = "any"

    def check(self, relaxation: Relaxation) -> None:
        self._needs_discrete_distribution(relaxation, instead="st-gumbel")

    def build_state(self, relaxation: Relaxation, variables: int) -> RunningMoments:
        del relaxation, variables
        return RunningMoments(self.options.decay)

    def surrogate(
        self,
        q: RelaxedDistribution,
        cost: Cost,
        generator: Generator = None,
        state: torch.nn.Module | None = OMITTED,
    ) -> Tensor:
        state = self.given_state(state)
        self.check(q.relaxation)
        hard = q.sample_hard((), generator)
        costs = checked_cost(self.name, q, cost)(hard.clone())  # as a cost may work in place
        return _estimate(q, hard, costs, costs.shape, state)

    def loss(
        self,
        q: RelaxedDistribution,
        action: Numbers,
        reward: Numbers,
        state: torch.nn.Module | None = OMITTED,
    ) -> Tensor:
        state = self.given_state(state)
        self.check(q.relaxation)
        hard, costs, sample = given_actions(self.name, q, action, reward)
        lead = costs.shape[len(sample) :]
        return _estimate(q, hard, costs, lead, state).reshape(-1, *lead).mean(0)


def _estimate(
    q: RelaxedDistribution,
    hard: Tensor,
    costs: Tensor,
    lead: torch.Size,
    state: torch.nn.Module | None,
) -> Tensor:
    """Return costs ``[*sample, *lead]`` of hard values, with the gradient of the estimate."""
    if not torch.is_grad_enabled():
        return costs
    advantage = costs.detach()
    if state is not None:
        assert isinstance(state, RunningMoments)
        advantage = costs.detach() - state.mean()
        if state.training:
            state.update(costs)
    return add_gradient(costs, advantage * total_log_prob(q, hard, lead))
