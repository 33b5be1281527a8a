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
from torch import Tensor

from relaxit.aliases import Generator
from relaxit.estimators.base import Cost, Estimator
from relaxit.estimators.common.score_function import (
    add_gradient,
    as_floating,
    cost_shape,
    total_log_prob,
)
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
        n = self.options.samples
        hard = q.sample_hard((n,), generator)
        # Copies, because a cost may work in place.
        costs = torch.stack([as_floating(cost(value.clone())) for value in hard.unbind(0)])
        lead = cost_shape(q, costs[0])
        value = costs.mean(0)
        if not torch.is_grad_enabled():
            return value
        # f_i minus the mean of the others is n / (n - 1) times f_i minus the mean of all.
        advantage = (costs - value).detach() / (n - 1)
        return add_gradient(value, (advantage * total_log_prob(q, hard, lead)).sum(0))
