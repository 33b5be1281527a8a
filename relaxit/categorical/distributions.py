"""Exact distributions of the one-hot value and of the log of the soft (Concrete) value."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import OneHotCategorical
from torch.distributions.constraints import Constraint, real_vector
from torch.distributions.kl import register_kl

from relaxit import DiscreteDistribution, noise, shapes, tracing
from relaxit.aliases import Generator, Shape
from relaxit.categorical.fast import cuda, inverse_cdf
from relaxit.categorical.fast.entropy import entropy
from relaxit.dtypes import compute_dtype
from relaxit.errors import ShapeError
from relaxit.seeded_distribution import SeededDistribution
from relaxit.temperature import divide_by_temperature, log_temperature

__all__ = ["LogConcrete", "OneHot", "one_hot"]


def one_hot(index: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """Return one-hot vectors ``[*, size]`` of indices ``[*]``; unlike torch's, runs under vmap."""
    return (torch.arange(size, device=index.device) == index.unsqueeze(-1)).to(dtype)


class OneHot(DiscreteDistribution):
    """The categorical distribution on one-hot vectors, with masked categories and a generator.

    It differs from ``torch.distributions.OneHotCategorical`` for masked categories (logit
    ``-inf``): they keep entropy and KL finite and are never sampled (``multinomial`` occasionally
    returns such categories, pytorch#13867).
    """

    @property
    def log_probs(self) -> Tensor:
        """Log-probability of each category ``[*batch, K]``, at least float32."""
        return _log_softmax(self.scores)

    @property
    def probs(self) -> Tensor:
        """Probability of each category ``[*batch, K]``, at least float32."""
        return self.log_probs.exp()

    def _log_prob(self, value: Tensor) -> Tensor:
        log_probs, value = torch.broadcast_tensors(self.log_probs, value)
        # A gather, not a sum of products, because 0 * -inf is NaN.
        return log_probs.gather(-1, value.argmax(-1, keepdim=True)).squeeze(-1)

    def entropy(self) -> Tensor:
        """Compute the entropy ``[*batch]`` in nats."""
        if tracing.may_branch_on_values(self.scores) and self.scores.numel():
            return entropy(self.scores)
        log_probs = self.log_probs
        return -_times_log(log_probs.exp(), log_probs).sum(-1)

    def _mean(self) -> Tensor:
        """Return the probability of each category."""
        return self.probs

    @property
    def variance(self) -> Tensor:
        return (self.probs * (1 - self.probs)).to(self.params.dtype)

    def _mode(self) -> Tensor:
        """Return the most probable one-hot vector, the first of several."""
        return one_hot(self.params.argmax(-1), self.event_shape[0], self.params.dtype)

    def _sample(self, shape: torch.Size, generator: Generator = None) -> Tensor:
        """Draw one-hot vectors by inverting the CDF, with one uniform per row.

        Sums are in float64 beyond 1024 categories, where the rounding of float32 would be visible.
        """
        if cuda.usable(self.scores, 1.0, generator):
            vertex = cuda.concrete(self.scores, 1.0, shape, generator, soft=False, hard=True)[1]
            assert vertex is not None
            return vertex
        if tracing.may_branch_on_values(self.scores) and self.scores.numel():
            return inverse_cdf.draw(self.scores, shape, generator)
        wide = self.event_shape[0] > 1024 and self.params.device.type != "mps"
        mass = self.probs.to(torch.float64) if wide else self.probs
        steps = mass.cumsum(-1)
        full = shape + self.batch_shape
        u = noise.uniform(full, dtype=mass.dtype, device=mass.device, generator=generator)
        # u is scaled by the last step, so that rounding of the total leaves no gap at the end; a
        # category of mass 0 adds no step and is never the first one above u.
        index = (steps <= u.unsqueeze(-1) * steps[..., -1:]).sum(-1)
        return one_hot(index, self.event_shape[0], self.params.dtype)

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return True

    def _enumerate_support(self) -> Tensor:
        """Return all one-hot vectors, ``[K, K]``."""
        return torch.eye(self.event_shape[0], device=self.params.device)

    def kl(self, other: OneHot) -> Tensor:
        # Where p has no mass the term is 0, whatever q is; where only q has none it is +inf.
        log_probs = self.log_probs
        return _times_log(log_probs.exp(), log_probs - other.log_probs).sum(-1)


@register_kl(OneHot, OneHotCategorical)
def _kl_from_torch(p: OneHot, q: OneHotCategorical) -> Tensor:
    return p.kl(_like(p, q))


@register_kl(OneHotCategorical, OneHot)
def _kl_of_torch(p: OneHotCategorical, q: OneHot) -> Tensor:
    return _like(q, p).kl(q)


def _like(own: OneHot, other: OneHotCategorical) -> OneHot:
    """Return the distribution of torch's object, as an object of the class of ``own``.

    torch clamps probabilities at eps before it takes their logarithm. Where it did, the logarithm
    is taken again, so that a probability of 0 stays 0.
    """
    if other.event_shape != own.event_shape:
        raise ShapeError(
            f"no KL divergence between {own.relaxation!r} and a distribution over "
            f"{other.event_shape[0]} categories"
        )
    probs, logits = other.probs, other.logits
    eps = torch.finfo(logits.dtype).eps
    clamped = (probs < eps) & (logits > math.log(eps) - 0.01)
    log_probs = torch.where(probs > 0, probs, 1.0).log().masked_fill(probs <= 0, -torch.inf)
    return type(own)(own.relaxation, torch.where(clamped, log_probs, logits))


class LogConcrete(SeededDistribution):
    """The distribution of the logarithm of a Concrete vector, exact at any temperature.

        log p(x) = lgamma(K) + (K - 1) log tau + sum_i s_i - K LSE(s),   s = a - tau x

    on vectors x with LSE(x) = 0, with respect to the K - 1 log-ratios x_i - x_K, as torch's
    ``RelaxedOneHotCategorical.base_dist``: the density of y = exp(x) times the product of all y_i.
    Masked coordinates of a sample are ``-inf`` and are left out. Always float32 or float64, because
    a bfloat16 logarithm has two digits.

    Args:
        params: logits ``[*batch, K]``.
        temperature: float, or tensor ``[*batch, 1]``.

    Reference: arXiv:1611.00712, appendix C.3 (ExpConcrete).
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample = True

    def __init__(self, params: Tensor, temperature: float | Tensor) -> None:
        self.params = params.to(compute_dtype(params.dtype))
        self.temperature = temperature
        super().__init__(params.shape[:-1], params.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> LogConcrete:
        batch_shape = torch.Size(batch_shape)
        temperature = self.temperature
        if isinstance(temperature, Tensor) and temperature.dim() > 0:
            temperature = temperature.expand(*batch_shape, 1)
        return LogConcrete(self.params.expand(batch_shape + self.event_shape), temperature)

    @property
    def support(self) -> Constraint:
        return real_vector

    def rsample(self, sample_shape: Shape = torch.Size(), generator: Generator = None) -> Tensor:
        """Draw log-values ``[*sample, *batch, K]`` with pathwise gradient."""
        shape = shapes.as_size(sample_shape) + self.params.shape
        g = noise.gumbel(
            shape, dtype=self.params.dtype, device=self.params.device, generator=generator
        )
        return divide_by_temperature(self.params + g, self.temperature).log_softmax(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        self.check_value(value)
        masked = self.params == -torch.inf
        logits = self.params.masked_fill(masked, 0.0)
        scores = logits - self.temperature * value.masked_fill(masked, 0.0)
        total = scores.masked_fill(masked, 0.0).sum(-1)
        top = scores.masked_fill(masked, -torch.inf).logsumexp(-1)
        count = (~masked).sum(-1).to(scores.dtype)
        return torch.lgamma(count) + (count - 1) * self._log_temperature() + total - count * top

    def _log_temperature(self) -> float | Tensor:
        log = log_temperature(self.temperature, self.params.device)
        return log.squeeze(-1) if isinstance(log, Tensor) and log.dim() else log


def _log_softmax(scores: Tensor) -> Tensor:
    """Compute the log-softmax; torch's takes four times as long for ten categories on the CPU."""
    shifted = scores - scores.detach().amax(-1, keepdim=True)
    return shifted - shifted.exp().sum(-1, keepdim=True).log()


def _times_log(mass: Tensor, log: Tensor) -> Tensor:
    """Compute ``mass * log``, with 0 and gradients without NaN where the mass is 0."""
    zero = mass == 0
    return mass * log.masked_fill(zero, 0.0)
