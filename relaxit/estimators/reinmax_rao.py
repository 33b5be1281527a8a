"""ReinMax-Rao: ReinMax with a Gumbel-Rao Jacobian at its second point.

This is ReinMax with its Jacobian at theta_D = log pi_D, pi_D = (pi + D) / 2, replaced by the mean
over Gumbel noise given D, at temperature tau:

    2 J_GR(theta_D; tau) g - 1/2 J(pi) g.

Biased, even at temperature 1 and for quadratic costs. One evaluation of the cost, on vertices; time
and memory are those of ``gumbel-rao``. Requires params that are logits, and perturbed scores given
the hard sample (capabilities ``logits`` and ``conditional``).

Reference: Wang, Bui, "Beyond ReinMax: Low-Variance Gradient Estimators for Discrete Latent
Variables", arXiv:2603.08257. The factor 2 and the point theta_D are those that its derivation
requires; the printed equation is said to lack them.
"""

from __future__ import annotations

from torch import Tensor

from relaxit.aliases import Generator
from relaxit.autograd import replace_gradient
from relaxit.dtypes import compute_dtype
from relaxit.estimators.base import DrawEstimator
from relaxit.estimators.common.conditional_mean import conditional_mean
from relaxit.estimators.common.marginals import marginals
from relaxit.estimators.gumbel_rao import RaoOptions
from relaxit.estimators.reinmax import shifted_logits
from relaxit.relaxation import Relaxation, RelaxedDistribution

__all__ = ["ReinMaxRao"]


class ReinMaxRao(DrawEstimator):
    """Exact draws, with the gradient of ReinMax through soft samples given the draw.

    Example:
        >>> import torch, relaxit
        >>> q = relaxit.get("categorical", categories=3)(torch.zeros(3, requires_grad=True), 0.5)
        >>> relaxit.estimator("reinmax-rao", draws=20).sample(q).sum()
        tensor(1., grad_fn=<SumBackward0>)
    """

    api = 1
    name = "reinmax-rao"
    summary = "ReinMax with a Gumbel-Rao Jacobian at its second point"
    Options = RaoOptions
    references = ("arXiv:2603.08257",)

    def check(self, relaxation: Relaxation) -> None:
        self._needs_logits(relaxation)
        self._needs_conditional(relaxation)

    def given(self, q: RelaxedDistribution, hard: Tensor, generator: Generator = None) -> Tensor:
        params = q.params.to(compute_dtype(hard.dtype)).expand(hard.shape)
        kind = q.relaxation.capabilities.logits
        rao = conditional_mean(
            q,
            shifted_logits(params, hard, 1.0, kind),
            params,
            hard,
            self.options.draws,
            self.options.chunk,
            generator,
        )
        return replace_gradient(hard, (2 * rao - marginals(params, kind) / 2).to(hard.dtype))
