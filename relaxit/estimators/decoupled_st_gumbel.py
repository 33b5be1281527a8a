"""Decoupled straight-through Gumbel: one temperature for the draw, another for the gradient.

With Gumbel noise G, the sample is the argmax of ``theta / forward + G``, a draw from the
distribution with logits ``theta / forward``. The gradient is that of ``relax(theta + G, tau)``,
where tau is the temperature of the distribution. The first temperature controls exploration, the
second how widely the gradient is spread. With ``forward = 1`` this is ``st-gumbel``.

Biased. One evaluation of the cost, on vertices; no more memory than st-gumbel. Requires a
relaxation that perturbs scores and smooths their argmax (:class:`relaxit.PerturbAndRelax`). Unless
``forward = 1``, the samples do not follow the discrete distribution, so training does not optimise
a bound on the discrete model.

Reference: Shah, Yan, Mozer, Liu, "Improving Discrete Optimisation Via Decoupled Straight-Through
Gumbel-Softmax", arXiv:2410.13331.
"""

from __future__ import annotations

from pydantic import Field, PositiveFloat
from torch import Tensor

from relaxit.aliases import Generator, Shape
from relaxit.arithmetic import without_autocast
from relaxit.autograd import replace_gradient
from relaxit.dtypes import compute_dtype
from relaxit.errors import Unsupported
from relaxit.estimators.base import SampleEstimator
from relaxit.options import Options
from relaxit.perturb import PerturbAndRelax
from relaxit.relaxation import Relaxation, RelaxedDistribution
from relaxit.shapes import as_size

__all__ = ["DecoupledOptions", "DecoupledStraightThroughGumbel"]


class DecoupledOptions(Options):
    """The temperature of the draw; the distribution has the temperature of the gradient."""

    forward: PositiveFloat = Field(1.0, description="temperature of the draw")


class DecoupledStraightThroughGumbel(SampleEstimator):
    """Hard samples at one temperature, with the pathwise gradient at another.

    Example:
        >>> import torch, relaxit
        >>> q = relaxit.get("categorical", categories=4)(torch.zeros(4, requires_grad=True), 1.5)
        >>> relaxit.estimator("decoupled-st-gumbel", forward=0.7).sample(q).sum()
        tensor(1., grad_fn=<SumBackward0>)
    """

    api = 1
    name = "decoupled-st-gumbel"
    aliases = ("decoupled-st-gs", "decoupled-straight-through-gumbel-softmax")
    summary = "hard sample at one temperature, gradient of a soft sample at another"
    Options = DecoupledOptions
    references = ("arXiv:2410.13331",)
    hard = True

    @property
    def own_distribution(self) -> bool:
        return bool(self.options.forward != 1)

    def check(self, relaxation: Relaxation) -> None:
        if not isinstance(relaxation, PerturbAndRelax):
            raise Unsupported(
                f"estimator {self.name!r} needs a relaxation that perturbs scores "
                f"(PerturbAndRelax), which {relaxation.name!r} is not; try 'st-gumbel'"
            )

    def sample(
        self, q: RelaxedDistribution, sample_shape: Shape = (), generator: Generator = None
    ) -> Tensor:
        self.check(q.relaxation)
        relaxation = q.relaxation
        assert isinstance(relaxation, PerturbAndRelax)
        params = q.params.to(compute_dtype(q.params.dtype))
        full = as_size(sample_shape) + q.batch_shape + relaxation.noise_shape
        noise = relaxation.noise(
            full, dtype=params.dtype, device=params.device, generator=generator
        )
        with without_autocast(params):
            scaled = params.detach() / self.options.forward
            hard = relaxation.argmax(relaxation.add_noise(scaled, noise))
            soft = relaxation.relax(relaxation.add_noise(params, noise), q.aligned_temperature)
        return replace_gradient(hard.to(q.params.dtype), soft.to(q.params.dtype))
