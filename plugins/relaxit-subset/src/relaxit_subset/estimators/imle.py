r"""I-MLE: the best vertex of perturbed scores, with a difference of two vertices as the gradient.

The forward pass is z = MAP(theta + s eps), where MAP finds the vertex with the highest score. The
backward pass uses the same noise and the gradient g of the cost at z:

    grad = (MAP(theta + s eps) - MAP(theta - lambda g + s eps)) / lambda.

If params do not have the shape of values, the difference is that of their statistics, and g is the
gradient with respect to the statistics.

The parameters are moved by lambda against the gradient, to a *target* distribution, and the
estimate is the difference of the two samples divided by lambda. It takes one evaluation of the
cost and two of the solver, and needs neither a distribution nor a relaxation.

The gradient g is that of the quantity that is differentiated: where costs are averaged over a
batch of B, g is B times smaller than for one row, and lambda must be B times larger for the same
effect.

**Noise.** Perturb-and-MAP draws from exp(<theta, z>) if <z, eps> is standard Gumbel for each z. If
all z have the same number k of ones, the *sum of Gammas*

    eps = sum_{i=1}^{s} g_i / i  -  log(s) / k,     g_i ~ Gamma(shape 1/k, scale 1),

has k-fold sums that become standard Gumbel as s grows. (For k = 1 it becomes Gumbel noise, which
is used directly.) For structures whose values differ in their sum it is wrong and is rejected.
Whether they differ is determined exactly, by maximising and minimising the sum with the solver.

It is not the default because measurements speak against it. The sums of overlapping z are not
independent, and the resulting distribution is far too peaked: for k = 5 of n = 10 its total
variation distance from the conditional Poisson distribution is .62, compared with .15 for plain
Gumbel noise, the noise of the relaxation. Its gradients also have a larger error at lambda up to
2.5 (docs/evidence/results.md).

Reference: Niepert, Minervini, Franceschi, "Implicit MLE: Backpropagating Through Discrete
Exponential Family Distributions", arXiv:2106.01798, algorithm 1 and section 4.2.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from relaxit import (
    Options,
    PerturbAndRelax,
    Relaxation,
    RelaxedDistribution,
    SampleEstimator,
    Unsupported,
)
from relaxit.aliases import Generator, Shape
from relaxit.arithmetic import without_autocast
from relaxit.derivative import transposed
from relaxit.dtypes import compute_dtype
from relaxit.noise import gumbel
from relaxit.shapes import as_size
from relaxit.tracing import recorded, standard_gamma

__all__ = ["Imle", "sum_of_gammas"]


class ImleOptions(Options):
    """Options of :class:`Imle`."""

    lam: float = Field(
        1.0, gt=0, description="lambda, length of the step to the target distribution"
    )
    noise: Literal["own", "sum-of-gammas", "auto"] = Field(
        "own",
        description="own: that of the relaxation; sum-of-gammas; auto: sum-of-gammas where all "
        "values have the same sum, otherwise own",
    )
    scale: float = Field(1.0, ge=0, description="factor of the noise; 0 solves for the mode")
    terms: int = Field(10, ge=1, description="number s of terms in the sum of Gammas")


class Imle(SampleEstimator):
    """Best vertices of perturbed scores, with the gradient of implicit maximum likelihood.

    It supports every relaxation that perturbs scores and has an ``argmax`` of them, if the score of
    a value is linear in params (any :class:`relaxit.PerturbAndRelax` whose values have the shape of
    its params, or that has ``statistics``). It is biased. The
    hard samples follow the perturb-and-MAP distribution, not ``q.discrete``.

    Example:
        >>> import torch, relaxit
        >>> theta = torch.zeros(4, requires_grad=True)
        >>> q = relaxit.get("subset", n=4, k=2)(theta)
        >>> z = relaxit.estimator("imle", lam=100.0).sample(q)
        >>> (z * torch.tensor([1.0, 1.0, -1.0, -1.0])).sum().backward()
        >>> bool((theta.grad[:2] >= 0).all() and (theta.grad[2:] <= 0).all())
        True
    """

    api = 1
    name = "imle"
    aliases = ("implicit-mle", "i-mle")
    summary = "best vertex of perturbed scores, difference of two of them as gradient"
    Options = ImleOptions
    references = ("arXiv:2106.01798, algorithm 1",)
    hard = True

    @property
    def own_distribution(self) -> bool:
        return self.options.scale != 1 or self.options.noise != "own"

    def check(self, relaxation: Relaxation) -> None:
        if not isinstance(relaxation, PerturbAndRelax) or not _is_linear(relaxation):
            raise Unsupported(
                f"estimator {self.name!r} needs an argmax of scores that are linear in params, "
                f"which relaxation {relaxation.name!r} does not have; try 'straight-through'"
            )
        if self.options.noise == "sum-of-gammas" and relaxation.common_sum() is None:
            raise Unsupported(
                f"estimator {self.name!r}: noise=sum-of-gammas requires values that all have the "
                f"same sum, and those of {relaxation!r} do not; use noise=own"
            )

    def sample(
        self, q: RelaxedDistribution, sample_shape: Shape = (), generator: Generator = None
    ) -> Tensor:
        self.check(q.relaxation)
        relaxation: Any = q.relaxation
        params = q.params.to(compute_dtype(q.params.dtype))
        shape = as_size(sample_shape) + q.batch_shape + relaxation.noise_shape
        noise = self._noise(relaxation, shape, params, generator)
        scores = relaxation.add_noise(params, self.options.scale * noise)
        if scores.requires_grad and torch.is_grad_enabled() and recorded():
            raise Unsupported(
                f"estimator {self.name!r} computes its gradient by another argmax in the backward "
                "pass, which cannot be exported or traced; do so under torch.no_grad()"
            )
        value: Tensor = _Imle.apply(scores, relaxation, self.options.lam)
        return value.to(q.params.dtype)

    def _noise(
        self, relaxation: Any, shape: torch.Size, params: Tensor, generator: Generator
    ) -> Tensor:
        kind: dict[str, Any] = {"dtype": params.dtype, "device": params.device}
        common_sum = relaxation.common_sum() if self.options.noise != "own" else None
        if not common_sum:  # nothing is chosen, or a sum of Gammas would be wrong
            drawn: Tensor = relaxation.noise(shape, generator=generator, **kind)
            return drawn
        return sum_of_gammas(shape, common_sum, self.options.terms, generator=generator, **kind)


class _Imle(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(scores: Tensor, relaxation: Any, lam: float) -> Tensor:
        with without_autocast(scores):
            return relaxation.argmax(scores)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        scores, ctx.relaxation, ctx.lam = inputs
        ctx.save_for_backward(scores, output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (scores, value), relaxation = ctx.saved_tensors, ctx.relaxation
        with without_autocast(scores):
            if type(relaxation).from_statistics is not Relaxation.from_statistics:
                rank = len(relaxation.param_shape)
                grad = transposed(relaxation.from_statistics, scores.detach(), grad, rank)
            target = relaxation.argmax(scores - ctx.lam * grad)
            difference = relaxation.statistics(value) - relaxation.statistics(target)
        return difference / ctx.lam, None, None


def _is_linear(relaxation: Relaxation) -> bool:
    """Whether the score of a value is linear in params."""
    try:
        relaxation.statistics(torch.zeros(relaxation.event_shape, device="cpu"))
    except NotImplementedError:
        return False
    return True


def sum_of_gammas(
    shape: torch.Size,
    k: int,
    terms: int = 10,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    generator: Generator = None,
) -> Tensor:
    """Draw noise whose sums over k entries are approximately standard Gumbel.

    Args:
        shape: shape of the result.
        k: number of entries in a sum; 1 gives exact Gumbel noise.
        terms: number s of terms in the formula above; more terms approximate better.
        dtype: float32 or float64.
        device: device on which to draw.
        generator: source of randomness; the global one if None.

    Example:
        >>> noise = sum_of_gammas(torch.Size([5]), k=2)
        >>> noise.shape, bool((noise > -1.2).all())
        (torch.Size([5]), True)
    """
    if k == 1:
        return gumbel(shape, dtype=dtype, device=device, generator=generator)
    # The method of torch.distributions.Gamma, which takes no generator.
    alpha = torch.full((terms, *shape), 1 / k, dtype=dtype, device=device)
    drawn = standard_gamma(alpha, generator)
    order = torch.arange(1, terms + 1, dtype=dtype, device=device)
    return (drawn / order.view(-1, *(1,) * len(shape))).sum(0) - math.log(terms) / k
