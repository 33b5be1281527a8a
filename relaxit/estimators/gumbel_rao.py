"""Gumbel-Rao: straight-through Gumbel, averaged over the noise that gives the same hard value.

An exact draw D; then the scores X = theta + G are drawn again and again given that D is their
argmax, and the Jacobians of ``relax(X, tau)`` are averaged. The mean over all is that of
``st-gumbel``, so it is as biased; the variance is lower, for no further evaluation of the cost.

Biased. One evaluation of the cost, on vertices. Work and, where params are no logits, memory are
``draws`` times those of st-gumbel; where they are, memory is that of one Jacobian a variable.
Needs perturbed scores given the hard value (capability ``conditional``).

The paper says that the derivative is taken through the conditional noise as well; then the mean
would not be that of st-gumbel, as its theorem needs it, and here, as in the implementations that
are in use, it is not.

Reference: Paulus, Maddison, Krause, "Rao-Blackwellizing the Straight-Through Gumbel-Softmax
Gradient Estimator", arXiv:2010.04838, section 3.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from relaxit.autograd import replace_gradient
from relaxit.dtypes import compute_dtype
from relaxit.estimators.base import DrawEstimator
from relaxit.estimators.common.conditional_mean import conditional_mean
from relaxit.options import Options
from relaxit.relaxation import Relaxation, RelaxedDistribution

__all__ = ["GumbelRao", "RaoOptions"]


class RaoOptions(Options):
    """How many draws are averaged."""

    draws: int = Field(100, ge=1, description="draws of the noise given the hard value")
    chunk: int = Field(50, ge=1, description="draws worked on at once, which bounds the memory")


class GumbelRao(DrawEstimator):
    """Vertices, with the mean pathwise gradient of all soft values that round to them.

    Example:
        >>> import torch, relaxit
        >>> logits = torch.zeros(4, requires_grad=True)
        >>> q = relaxit.get("categorical", categories=4)(logits, 0.5)
        >>> z = relaxit.estimator("gumbel-rao", draws=10).sample(q, (2,))
        >>> z.sum(-1)
        tensor([1., 1.], grad_fn=<SumBackward1>)
    """

    api = 1
    name = "gumbel-rao"
    summary = "exact draw, st-gumbel's gradient averaged over the noise given the draw"
    Options = RaoOptions
    references = ("arXiv:2010.04838, section 3",)

    def check(self, relaxation: Relaxation) -> None:
        self._needs_conditional(relaxation)

    def given(
        self, q: RelaxedDistribution, hard: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        lead = hard.shape[: hard.dim() - len(q.event_shape)]
        params = q.params.to(compute_dtype(hard.dtype)).expand(lead + q.relaxation.param_shape)
        soft = conditional_mean(
            q,
            params,
            params,
            hard,
            self.options.draws,
            self.options.chunk,
            generator,
        )
        return replace_gradient(hard, soft.to(hard.dtype))
