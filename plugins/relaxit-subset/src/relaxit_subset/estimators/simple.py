"""SIMPLE: an exact draw forward, the derivative of the exact marginals backward.

With marginals mu = E[z], the gradient of E[f(z)] is taken as that of ``<mu, grad f(z)>``, z drawn
from the law itself. Exact for linear f, biased otherwise; no temperature, no noise but that of z.
One evaluation of the cost, on vertices, one product with the covariance of the law.

It is ``straight-through`` at temperature 1; there the marginals are cooled with the temperature,
here the temperature plays no part, whatever a schedule makes of it.

Reference: Ahmed, Zeng, Niepert, Van den Broeck, "SIMPLE: A Gradient Estimator for k-Subset
Sampling", arXiv:2210.01941, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit import DrawEstimator, RelaxedDistribution
from relaxit.autograd import replace_gradient

__all__ = ["Simple"]


class Simple(DrawEstimator):
    """Values drawn from the discrete law, with the gradient of its marginals.

    Needs the discrete law, and nothing that is special to subsets.

    Example:
        >>> import torch, relaxit
        >>> theta = torch.tensor([0.0, 1.0, -1.0], requires_grad=True)
        >>> q = relaxit.get("subset", n=3, k=2)(theta)
        >>> z = relaxit.estimator("simple").sample(q)
        >>> torch.autograd.grad((z * torch.tensor([1.0, 0.0, 0.0])).sum(), theta)[0]
        tensor([ 0.1848, -0.0220, -0.1628])
    """

    api = 1
    name = "simple"
    summary = "exact draw, gradient of the exact marginals"
    references = ("arXiv:2210.01941, section 3",)
    unbiased = "linear"

    def given(
        self, q: RelaxedDistribution, hard: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        del generator
        return replace_gradient(hard, q.discrete.mean.expand(hard.shape))
