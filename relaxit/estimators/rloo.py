r"""RLOO: the score function over several draws, with the mean cost of the others as baseline.

    grad = 1/n sum_i (f(b_i) - 1/(n-1) sum_{j != i} f(b_j)) grad log p(b_i),   b_i ~ p independent

Unbiased for any cost. ``samples`` evaluations of the cost, on vertices; memory is that of as many
graphs of the cost. The value is the mean of the costs, and the parameters of the cost get the
gradient of that mean. Requires the discrete distribution.

References: Kool, van Hoof, Welling, "Buy 4 REINFORCE Samples, Get a Baseline for Free!",
DeepRLStructPred workshop at ICLR (2019); Mnih and Rezende, arXiv:1602.06725, section 2.5.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from relaxit.aliases import Generator
from relaxit.arithmetic import without_autocast
from relaxit.errors import ShapeError
from relaxit.estimators.base import OMITTED, Estimator
from relaxit.estimators.common.costs import Cost, Numbers, checked_cost
from relaxit.estimators.common.given_actions import given_actions
from relaxit.estimators.common.score_function import add_gradient, total_log_prob
from relaxit.options import Options
from relaxit.relaxation import Relaxation, RelaxedDistribution

__all__ = ["Rloo", "RlooOptions"]


class RlooOptions(Options):
    """Options of :class:`Rloo`."""

    samples: int = Field(4, ge=2, description="number of draws n, and of evaluations of the cost")


class Rloo(Estimator):
    """The score function with a leave-one-out baseline.

    Example:
        >>> import torch, relaxit
        >>> logits = torch.zeros(4, requires_grad=True)
        >>> q = relaxit.get("categorical", categories=4)(logits)
        >>> rloo = relaxit.estimator("rloo", samples=8)
        >>> rloo.surrogate(q, lambda z: (z * torch.arange(4.0)).sum(-1)).backward()
        >>> bool(logits.grad.any())
        True
    """

    api = 1
    name = "rloo"
    aliases = ("leave-one-out", "reinforce-leave-one-out")
    summary = "score function, mean cost of the other draws as baseline"
    Options = RlooOptions
    references = ("Kool, van Hoof, Welling (2019)", "arXiv:1602.06725, section 2.5")
    hard = True
    exact_draw = True
    unbiased = "any"

    def evaluations(self, relaxation: Relaxation, variables: int = 1) -> int:
        del relaxation, variables
        samples: int = self.options.samples
        return samples

    def check(self, relaxation: Relaxation) -> None:
        self._needs_discrete_distribution(relaxation, instead="st-gumbel")

    def surrogate(self, q: RelaxedDistribution, cost: Cost, generator: Generator = None) -> Tensor:
        self.check(q.relaxation)
        cost = checked_cost(self.name, q, cost)
        hard = q.sample_hard((self.options.samples,), generator)
        # Copies, because a cost may work in place.
        costs = [cost(value.clone()) for value in hard.unbind(0)]
        with without_autocast(q.params):  # which cannot stack every dtype
            return _estimate(q, hard, torch.stack(costs))

    def loss(
        self,
        q: RelaxedDistribution,
        action: Numbers,
        reward: Numbers,
        state: nn.Module | None = OMITTED,
    ) -> Tensor:
        """Compute :meth:`Estimator.loss` of a group of actions ``[n, *batch, ...]``, n >= 2.

        The group is the sample dimension, of any size, whatever the option ``samples``.
        """
        del state
        self.check(q.relaxation)
        hard, costs, sample = given_actions(self.name, q, action, reward)
        if len(sample) != 1 or sample[0] < 2:
            raise ShapeError(
                f"estimator {self.name!r}: the actions must have one sample dimension in front of "
                f"the batch shape {list(q.batch_shape)}, of size 2 or more, got sample shape "
                f"{list(sample)}; for single actions use 'reinforce'"
            )
        return _estimate(q, hard, costs)


def _estimate(q: RelaxedDistribution, hard: Tensor, costs: Tensor) -> Tensor:
    """Return the mean ``[*lead]`` of costs ``[n, *lead]``, with the gradient of the estimate."""
    value = costs.mean(0)
    if not torch.is_grad_enabled():
        return value
    # f_i minus the mean of the others is n / (n - 1) times f_i minus the mean of all.
    advantage = (costs - value).detach() / (len(costs) - 1)
    return add_gradient(value, (advantage * total_log_prob(q, hard, value.shape)).sum(0))
