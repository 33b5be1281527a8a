r"""The perturbed optimiser: the mean vertex of perturbed scores, differentiated under the integral.

If Z has a density proportional to exp(-nu) and y(theta) is the vertex with the highest score,

    d/d theta E y(theta + s Z) = E y(theta + s Z) nu'(Z)^T / s,

where nu'(z) is 1 - e^{-z} for Gumbel noise, tanh(z / 2) for logistic and z for Gaussian noise. The
forward pass returns the vertex of one draw; the backward pass estimates this Jacobian from that
draw and M - 1 others,

    1/(M-1) sum_m <g, y_m - mean y> nu'(Z_m) / s,

where g is the gradient of the cost at the sample: the baseline of each draw is the mean of the
others.

Unbiased for linear costs, with respect to the distribution of the vertex of these scores; biased
for other costs, where g depends on the first draw. The temperature is not used. One evaluation of
the cost, on vertices; M evaluations of the argmax, whose values are kept. Requires only the argmax:
params may differ in shape from values, and no discrete distribution is needed. With the noise of
the relaxation at scale 1 the samples are those of ``q.draw``; otherwise they follow another
distribution.

Reference: Berthet, Blondel, Teboul, Cuturi, Vert, Bach, "Learning with Differentiable Perturbed
Optimizers", arXiv:2002.08676, proposition 3.1.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from relaxit.aliases import Generator, Shape
from relaxit.arithmetic import without_autocast
from relaxit.autograd import replace_gradient
from relaxit.dtypes import compute_dtype
from relaxit.errors import Unsupported
from relaxit.estimators.base import SampleEstimator
from relaxit.estimators.common import NOISES, noise_of, solver
from relaxit.options import Options
from relaxit.relaxation import Relaxation, RelaxedDistribution
from relaxit.shapes import as_size

__all__ = ["Perturbed", "PerturbedOptions"]


class PerturbedOptions(Options):
    """Options of :class:`Perturbed`."""

    draws: int = Field(10, ge=2, description="number of draws M to estimate the Jacobian from")
    scale: float = Field(1.0, gt=0, description="scale s of the noise")
    noise: NOISES = Field(
        "own", description="own (the relaxation's Gumbel or logistic) or gaussian"
    )


class Perturbed(SampleEstimator):
    """Vertices of perturbed scores, with the Jacobian of the mean vertex.

    Example:
        >>> import torch, relaxit
        >>> logits = torch.zeros(4, requires_grad=True)
        >>> q = relaxit.get("categorical", categories=4)(logits)
        >>> z = relaxit.estimator("perturbed", draws=100).sample(q)
        >>> z[0].backward()
        >>> logits.grad.shape
        torch.Size([4])
    """

    api = 1
    name = "perturbed"
    aliases = ("perturbed-optimizer", "perturbed-optimiser")
    summary = "vertex of perturbed scores, sampled Jacobian of the mean vertex"
    Options = PerturbedOptions
    references = ("arXiv:2002.08676, proposition 3.1",)
    hard = True
    unbiased = "linear"

    @property
    def own_distribution(self) -> bool:
        return self.options.scale != 1 or self.options.noise != "own"

    def check(self, relaxation: Relaxation) -> None:
        owner = f"estimator {self.name!r}"
        solved = solver(owner, relaxation)
        noise_of(owner, solved, self.options.noise)
        try:
            solved.noised(torch.zeros(solved.param_shape, device="cpu"))
        except Unsupported as error:
            raise Unsupported(f"{owner} needs noise on all params; {error}") from error

    def sample(
        self, q: RelaxedDistribution, sample_shape: Shape = (), generator: Generator = None
    ) -> Tensor:
        owner, scale, draws = f"estimator {self.name!r}", self.options.scale, self.options.draws
        relaxation = solver(owner, q.relaxation)
        drawn, score = noise_of(owner, relaxation, self.options.noise)
        params = q.params.to(compute_dtype(q.params.dtype))
        kind = {"dtype": params.dtype, "device": params.device, "generator": generator}
        shape = as_size(sample_shape) + q.batch_shape + relaxation.noise_shape
        first = drawn(shape, **kind)
        fixed = params.detach()
        with without_autocast(params):
            value = relaxation.argmax(relaxation.add_noise(fixed, scale * first))
            value = value.to(q.params.dtype)
        if not torch.is_grad_enabled():
            return value
        others = drawn(torch.Size((draws - 1, *shape)), **kind)
        noise = torch.cat([first.unsqueeze(0), others])
        with without_autocast(params):
            vertices = relaxation.argmax(relaxation.add_noise(fixed, scale * noise))
        # A function of params whose gradient is the estimate. Infinite params are constants.
        finite = relaxation.noised(params.masked_fill(params.isinf(), 0.0))
        weights = score(noise) * finite / (scale * (draws - 1))
        event, rank = len(relaxation.event_shape), len(relaxation.noise_shape)
        weight = weights.flatten(weights.dim() - rank).sum(-1) if rank else weights
        centred = vertices - vertices.mean(0)
        mean = (weight.reshape(weight.shape + (1,) * event) * centred).sum(0)
        return replace_gradient(value, mean.to(value.dtype))
