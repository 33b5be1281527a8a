"""Straight-through Gumbel: the hard sample of a draw, with the gradient of its soft sample.

The soft and the hard sample use the same noise (they are coupled). Biased; the variance decreases
as the temperature increases. One evaluation of the cost, on vertices. Requires only ``draw``.

Reference: Jang, Gu, Poole, arXiv:1611.01144, section 2.2.
"""

from __future__ import annotations

from torch import Tensor

from relaxit import shapes
from relaxit.aliases import Generator, Shape
from relaxit.arithmetic import without_autocast
from relaxit.estimators.base import SampleEstimator
from relaxit.relaxation import RelaxedDistribution

__all__ = ["StraightThroughGumbel"]


class StraightThroughGumbel(SampleEstimator):
    """Hard samples, exactly on the vertices, with the pathwise gradient of the coupled soft ones.

    Example:
        >>> import torch, relaxit
        >>> q = relaxit.get("categorical", categories=4)(torch.zeros(4, requires_grad=True), 0.5)
        >>> relaxit.estimator("st-gumbel").sample(q).sum()
        tensor(1., grad_fn=<SumBackward0>)
    """

    api = 1
    name = "st-gumbel"
    aliases = ("straight-through-gumbel-softmax", "gumbel-softmax-st", "st-gumbel-softmax", "st-gs")
    summary = "hard sample of a draw, gradient of its soft sample"
    references = ("arXiv:1611.01144, section 2.2",)
    hard = True

    def sample(
        self, q: RelaxedDistribution, sample_shape: Shape = (), generator: Generator = None
    ) -> Tensor:
        shape = shapes.as_size(sample_shape)
        with without_autocast(q.params):
            return q.relaxation.straight_through(q.params, q.aligned_temperature, shape, generator)
