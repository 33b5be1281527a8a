"""The pathwise gradient of the soft sample (reparametrisation trick).

Unbiased for the *relaxed* expectation E[f(soft)], biased for the discrete one; the bias shrinks
and the variance grows as the temperature decreases. One evaluation of the cost, on soft samples.
Requires only ``rsample``.

Reference: Maddison, Mnih, Teh, arXiv:1611.00712, section 3; Jang, Gu, Poole, arXiv:1611.01144.
"""

from __future__ import annotations

from torch import Tensor

from relaxit.aliases import Generator, Shape
from relaxit.estimators.base import SampleEstimator
from relaxit.relaxation import RelaxedDistribution

__all__ = ["Pathwise"]


class Pathwise(SampleEstimator):
    """Soft samples, with their pathwise gradient.

    Example:
        >>> import torch, relaxit
        >>> logits = torch.zeros(4, requires_grad=True)
        >>> q = relaxit.get("categorical", categories=4)(logits)
        >>> relaxit.estimator("pathwise").surrogate(q, lambda z: z[..., 0] ** 2).backward()
        >>> logits.grad.shape
        torch.Size([4])
    """

    api = 1
    name = "pathwise"
    aliases = ("reparameterization", "reparametrization", "gumbel-softmax", "concrete")
    summary = "soft sample, gradient of the reparametrisation"
    references = ("arXiv:1611.00712", "arXiv:1611.01144")
    hard = False
    unbiased = "any"

    def sample(
        self, q: RelaxedDistribution, sample_shape: Shape = (), generator: Generator = None
    ) -> Tensor:
        return q.rsample(sample_shape, generator)
