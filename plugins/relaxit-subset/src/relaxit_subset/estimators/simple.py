"""SIMPLE: exact samples forward, the derivative of the exact marginals backward.

With marginals mu = E[z], the gradient of E[f(z)] is estimated by that of ``<mu, grad f(z)>``, where
z is drawn from the discrete distribution. The estimate is exact for linear f and biased otherwise.
It has no temperature and no noise other than that of z. It takes one evaluation of the cost, on
vertices, and one product with the covariance of the distribution.

It equals ``straight-through`` at temperature 1. In ``straight-through`` the marginals depend on the
temperature; here the temperature has no effect, whatever its schedule.

Reference: Ahmed, Zeng, Niepert, Van den Broeck, "SIMPLE: A Gradient Estimator for k-Subset
Sampling", arXiv:2210.01941, section 3.
"""

from __future__ import annotations

from torch import Tensor

from relaxit import DrawEstimator, RelaxedDistribution
from relaxit.aliases import Generator
from relaxit.autograd import replace_gradient

__all__ = ["Simple"]


class Simple(DrawEstimator):
    """Samples of the discrete distribution, with the gradient of its marginals.

    It needs the discrete distribution and nothing that is specific to subsets.

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

    def given(self, q: RelaxedDistribution, hard: Tensor, generator: Generator = None) -> Tensor:
        del generator
        return replace_gradient(hard, q.discrete.mean.expand(hard.shape))
