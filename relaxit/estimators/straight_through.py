"""Straight-through: an exact discrete draw, differentiated as the marginals.

The value is drawn from the discrete law; the backward pass uses the Jacobian of the marginals at
``params / temperature`` (for a category: of ``softmax(logits / tau)``). At temperature 1 it is
exactly unbiased for costs linear in the value, biased otherwise. One evaluation of the cost, on
vertices. Needs the discrete law with its ``mean``.

Reference: Bengio, Leonard, Courville, "Estimating or Propagating Gradients Through Stochastic
Neurons", arXiv:1308.3432, section 4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit.cooling import cool
from relaxit.estimators.base import SampleEstimator
from relaxit.estimators.through import through
from relaxit.noise import compute_dtype
from relaxit.relaxation import Relaxation, RelaxedDistribution

__all__ = ["StraightThrough"]


class StraightThrough(SampleEstimator):
    """Values exactly on the vertices, in every dtype; gradient of the marginals.

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
    summary = "exact discrete draw, gradient of the marginals"
    references = ("arXiv:1308.3432",)
    hard = True
    exact_draw = True
    unbiased = "linear"

    def check(self, relaxation: Relaxation) -> None:
        self._needs_discrete_law(relaxation, instead="st-gumbel")

    def sample(
        self,
        q: RelaxedDistribution,
        sample_shape: torch.Size | tuple[int, ...] = torch.Size(),
        generator: torch.Generator | None = None,
    ) -> Tensor:
        self.check(q.relaxation)
        hard = q.sample_hard(sample_shape, generator)
        # Cooled logits overflow in float16, so the marginals are worked out in float32.
        cooled = cool(q.params.to(compute_dtype(hard.dtype)), q.aligned_temperature)
        marginals = q.relaxation.discrete(cooled).mean.to(hard.dtype)
        return through(hard, marginals.expand(hard.shape))
