"""ReinMax-CV: ReinMax plus a control variate of two Gumbel Jacobians.

    ReinMax + eta (J_GR(theta_D; tau) - J_STGS(theta_D; tau)) g,      theta_D = log pi_D,

where J_STGS uses one draw of Gumbel noise given D and J_GR is the mean over many. Given D both have
the same mean, so the estimate has exactly the mean of ReinMax at temperature 1, for any eta and any
temperature tau: it is unbiased for quadratic costs, and tau gets no gradient. One evaluation of the
cost, on vertices; time and memory are those of ``gumbel-rao``. Requires params that are logits, and
perturbed scores given the hard sample (capabilities ``logits`` and ``conditional``).

Its variance cannot be lower than that of ReinMax: given D, ReinMax is not random, so a term whose
mean given D is zero only adds variance. The published code of the authors uses the noise that
produced D for J_STGS too, at theta_D where it does not belong, which shifts the mean. Here the
terms are those of the formula; the page "How to choose" has the measurements.

Reference: Wang, Bui, "Beyond ReinMax: Low-Variance Gradient Estimators for Discrete Latent
Variables", arXiv:2603.08257.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from relaxit.aliases import Generator
from relaxit.autograd import replace_gradient
from relaxit.dtypes import compute_dtype
from relaxit.estimators.base import DrawEstimator
from relaxit.estimators.common.conditional_mean import conditional_mean
from relaxit.estimators.gumbel_rao import RaoOptions
from relaxit.estimators.reinmax import second_order, shifted_logits
from relaxit.relaxation import Relaxation, RelaxedDistribution

__all__ = ["ControlVariateOptions", "ReinMaxControlVariate"]


class ControlVariateOptions(RaoOptions):
    """Weight of the control variate, and number of draws in its mean."""

    eta: float = Field(0.5, description="weight of the control variate; 0 gives ReinMax")


class ReinMaxControlVariate(DrawEstimator):
    """Exact draws, with the gradient of ReinMax at temperature 1 and a control variate.

    Example:
        >>> import torch, relaxit
        >>> q = relaxit.get("categorical", categories=3)(torch.zeros(3, requires_grad=True), 0.5)
        >>> relaxit.estimator("reinmax-cv", draws=20).sample(q).sum()
        tensor(1., grad_fn=<SumBackward0>)
    """

    api = 1
    name = "reinmax-cv"
    summary = "ReinMax with a control variate of two Gumbel Jacobians"
    Options = ControlVariateOptions
    references = ("arXiv:2603.08257",)
    unbiased = "quadratic"

    def check(self, relaxation: Relaxation) -> None:
        self._needs_logits(relaxation)
        self._needs_conditional(relaxation)

    def given(self, q: RelaxedDistribution, hard: Tensor, generator: Generator = None) -> Tensor:
        params = q.params.to(compute_dtype(hard.dtype)).expand(hard.shape)
        kind = q.relaxation.capabilities.logits
        shifted = shifted_logits(params, hard, 1.0, kind)
        # The mean does not depend on the temperature; its gradient would be noise.
        tau = q.temperature.detach() if isinstance(q.temperature, Tensor) else q.temperature
        fixed = q.relaxation(q.params, tau, validate_args=False)
        single, mean = (
            conditional_mean(
                fixed,
                shifted,
                params,
                hard,
                draws,
                self.options.chunk,
                generator,
            )
            for draws in (1, self.options.draws)
        )
        reinmax = second_order(params, hard, 1.0, kind)
        return replace_gradient(hard, (reinmax + self.options.eta * (mean - single)).to(hard.dtype))
