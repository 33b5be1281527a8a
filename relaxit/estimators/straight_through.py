"""Straight-through: an exact discrete draw, with the gradient of the marginals.

The sample comes from the discrete distribution; the backward pass uses the Jacobian of the
marginals at ``params / temperature`` (for a category, of ``softmax(logits / tau)``). At temperature
1 the gradient is exactly unbiased for costs linear in the value, and biased otherwise. One
evaluation of the cost, on vertices. Requires the discrete distribution with its ``mean``.

Reference: Bengio, Leonard, Courville, "Estimating or Propagating Gradients Through Stochastic
Neurons", arXiv:1308.3432, section 4.
"""

from __future__ import annotations

from torch import Tensor

from relaxit.aliases import Generator
from relaxit.autograd import replace_gradient
from relaxit.dtypes import compute_dtype
from relaxit.estimators.base import DrawEstimator
from relaxit.relaxation import RelaxedDistribution
from relaxit.temperature import divide_by_temperature

__all__ = ["StraightThrough"]


class StraightThrough(DrawEstimator):
    """Exact draws, exactly on the vertices in every dtype, with the gradient of the marginals.

    Example:
        >>> import torch, relaxit
        >>> logits = torch.zeros(4, requires_grad=True)
        >>> q = relaxit.get("categorical", categories=4)(logits)
        >>> z = relaxit.estimator("straight-through").sample(q, (2,))
        >>> z.sum(-1), z.requires_grad
        (tensor([1., 1.], grad_fn=<SumBackward1>), True)
    """

    api = 1
    name = "straight-through"
    aliases = ("ste",)
    summary = "exact discrete draw, gradient of the marginals"
    references = ("arXiv:1308.3432",)
    unbiased = "linear"

    def given(self, q: RelaxedDistribution, hard: Tensor, generator: Generator = None) -> Tensor:
        del generator
        # Divided logits overflow in float16, so the marginals are computed in float32.
        scaled = divide_by_temperature(
            q.params.to(compute_dtype(hard.dtype)), q.aligned_temperature
        )
        marginals = q.relaxation.discrete(scaled).mean.to(hard.dtype)
        return replace_gradient(hard, marginals.expand(hard.shape))
