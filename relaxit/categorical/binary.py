r"""The binary Concrete relaxation of one yes-or-no choice.

With logit a and standard logistic noise L the hard sample is ``1[a + L > 0]``, which follows
``Bernoulli(sigmoid(a))`` exactly, and the soft one is ``sigmoid((a + L) / tau)``. In the coordinate
x = logit(y) the density is ``log tau + s - 2 softplus(s)`` with s = a - tau x; that of y follows
by subtracting ``log y + log(1 - y)``.

A logit of ``-inf`` forces 0 and ``+inf`` forces 1.

Reference: Maddison, Mnih, Teh, arXiv:1611.00712, appendix B.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Bernoulli
from torch.distributions.constraints import Constraint, real
from torch.distributions.kl import register_kl
from torch.nn.functional import logsigmoid, softplus

from relaxit import Capabilities, DiscreteDistribution, PerturbAndRelax, constraints, noise, shapes
from relaxit.aliases import Generator, Shape
from relaxit.dtypes import compute_dtype, smallest_stored
from relaxit.seeded_distribution import SeededDistribution
from relaxit.temperature import divide_by_temperature, log_temperature

__all__ = ["Binary", "Bit", "LogitConcrete"]


class Binary(PerturbAndRelax):
    """One bit; params are logits ``[*batch]``, values lie in the unit interval.

    Stored soft samples are kept away from 0 and 1 (by the smallest normal number and by half a unit
    in the last place), so that their ``log_prob`` is finite; ``log_space``, the distribution of the
    logit, is always exact.

    Example:
        >>> import torch, relaxit
        >>> q = relaxit.get("binary")(torch.tensor([0.0, 2.0]), temperature=0.5)
        >>> q.rsample((3,)).shape, q.discrete.mean
        (torch.Size([3, 2]), tensor([0.5000, 0.8808]))
    """

    api = 1
    name = "binary"
    aliases = ("bernoulli", "relaxed-bernoulli", "binary-concrete")
    summary = "one bit: binary Concrete"
    references = ("arXiv:1611.00712 (Concrete), appendix B",)
    capabilities = Capabilities(
        density=True,
        log_space=True,
        discrete_distribution=True,
        exact_rounding=True,
        masks=True,
        conditional=True,
        logits="bits",
        exponential_family=True,
    )
    event_shape = torch.Size()
    param_shape = torch.Size()
    support = constraints.unit_interval
    vertices = constraints.boolean
    log_cardinality = math.log(2)
    noise = staticmethod(noise.logistic)
    illegal_params = "NaN"

    def valid_params(self, params: Tensor) -> Tensor:
        return ~params.isnan()

    def relax(self, scores: Tensor, temperature: float | Tensor) -> Tensor:
        return torch.sigmoid(divide_by_temperature(scores, temperature))

    def argmax(self, scores: Tensor) -> Tensor:
        return (scores > 0).to(scores.dtype)

    def perturb_given(
        self,
        params: Tensor,
        hard: Tensor,
        shape: torch.Size = torch.Size(),
        generator: Generator = None,
    ) -> Tensor:
        """Draw logit plus logistic noise given its sign.

        Reference: Tucker, Mnih, Maddison, Lawson, Sohl-Dickstein, "REBAR", arXiv:1703.07370,
        appendix C.
        """
        a = params.to(compute_dtype(params.dtype))
        forced = a.isinf()
        full = shape + torch.broadcast_shapes(a.shape, hard.shape)
        ell = self.noise(full, dtype=a.dtype, device=a.device, generator=generator)
        sign = 2 * hard.to(a.dtype) - 1
        score = sign * softplus(ell + softplus(sign * a.masked_fill(forced, 0.0)))
        return torch.where(forced, a, score)

    def hard(self, soft: Tensor) -> Tensor:
        return (soft > 0.5).to(soft.dtype)

    def finish(self, soft: Tensor, params: Tensor) -> Tensor:
        # Forced bits are not changed.
        least, most = smallest_stored(soft.dtype), 1 - torch.finfo(soft.dtype).eps / 2
        return torch.where(params.detach().isinf(), soft, soft.clamp(least, most))

    def log_prob(self, params: Tensor, temperature: float | Tensor, value: Tensor) -> Tensor:
        forced = params.isinf()
        y = value.to(compute_dtype(params.dtype)).masked_fill(forced, 0.5)
        log_y, log_rest = y.log(), torch.log1p(-y)
        density = self.log_space(params, temperature).log_prob(log_y - log_rest) - log_y - log_rest
        # A forced bit is not a coordinate of the distribution: it adds 0, or -inf if violated.
        outside = forced & (value != (params > 0).to(value.dtype))
        return density.masked_fill(forced, 0.0).masked_fill(outside, -torch.inf)

    def log_space(self, params: Tensor, temperature: float | Tensor) -> LogitConcrete:
        return LogitConcrete(params, temperature)

    def from_log_space(self, value: Tensor) -> Tensor:
        return value.sigmoid()

    def discrete(self, params: Tensor) -> Bit:
        return Bit(self, params)


class Bit(DiscreteDistribution):
    """The Bernoulli distribution on {0, 1}, with forced bits (infinite logits) and a generator."""

    def _log_prob(self, value: Tensor) -> Tensor:
        return logsigmoid(torch.where(value > 0.5, self.scores, -self.scores))

    def entropy(self) -> Tensor:
        """Compute the entropy ``[*batch]`` in nats."""
        a = self.scores.masked_fill(self.scores.isinf(), 0.0)
        entropy = softplus(a) - a * a.sigmoid()
        return entropy.masked_fill(self.scores.isinf(), 0.0)

    def _mean(self) -> Tensor:
        """Return the probability of a one ``[*batch]``."""
        return self.scores.sigmoid()

    @property
    def variance(self) -> Tensor:
        p = self.scores.sigmoid()
        return (p * (1 - p)).to(self.params.dtype)

    def _mode(self) -> Tensor:
        """Return the more probable value; 0 at even odds."""
        return self.params > 0

    def _sample(self, shape: torch.Size, generator: Generator = None) -> Tensor:
        """Draw bits ``[*shape, *batch]``."""
        p = self.scores.sigmoid()
        u = noise.uniform(shape + p.shape, dtype=p.dtype, device=p.device, generator=generator)
        return u < p

    def _enumerate_support(self) -> Tensor:
        """Return both values, ``[2]``."""
        return torch.arange(2, device=self.params.device)

    def kl(self, other: Bit) -> Tensor:
        one, zero = logsigmoid(self.scores), logsigmoid(-self.scores)
        return _term(one, logsigmoid(other.scores)) + _term(zero, logsigmoid(-other.scores))


@register_kl(Bit, Bernoulli)
def _kl_from_torch(p: Bit, q: Bernoulli) -> Tensor:
    return p.kl(_like(p, q))


@register_kl(Bernoulli, Bit)
def _kl_of_torch(p: Bernoulli, q: Bit) -> Tensor:
    return _like(q, p).kl(q)


def _like(own: Bit, other: Bernoulli) -> Bit:
    """Return the distribution of torch's object, as an object of the class of ``own``.

    torch clamps probabilities to [eps, 1 - eps] before it takes their logit. Where it did, the
    logit is taken again, so that a probability of 0 or 1 stays what it is.
    """
    probs, logits = other.probs, other.logits
    eps = torch.finfo(logits.dtype).eps
    extreme = (probs < eps) | (probs > 1 - eps)
    clamped = extreme & (logits.abs() < 0.01 - math.log(eps))
    inner = torch.where((probs > 0) & (probs < 1), probs, 0.5)
    logit = inner.logit().masked_fill(probs <= 0, -torch.inf).masked_fill(probs >= 1, torch.inf)
    return type(own)(own.relaxation, torch.where(clamped, logit, logits))


class LogitConcrete(SeededDistribution):
    """The distribution of the logit of a binary Concrete value, exact at any temperature.

    Args:
        params: logits ``[*batch]``.
        temperature: float, or tensor that broadcasts to ``[*batch]``.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample = True

    def __init__(self, params: Tensor, temperature: float | Tensor) -> None:
        self.params = params.to(compute_dtype(params.dtype))
        self.temperature = temperature
        super().__init__(params.shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> LogitConcrete:
        temperature = self.temperature
        if isinstance(temperature, Tensor) and temperature.dim() > 0:
            temperature = temperature.expand(batch_shape)
        return LogitConcrete(self.params.expand(batch_shape), temperature)

    @property
    def support(self) -> Constraint:
        return real

    def rsample(self, sample_shape: Shape = torch.Size(), generator: Generator = None) -> Tensor:
        """Draw logits of soft samples ``[*sample, *batch]`` with pathwise gradient."""
        shape = shapes.as_size(sample_shape) + self.params.shape
        ell = noise.logistic(
            shape, dtype=self.params.dtype, device=self.params.device, generator=generator
        )
        return divide_by_temperature(self.params + ell, self.temperature)

    def log_prob(self, value: Tensor) -> Tensor:
        self.check_value(value)
        tau = self.temperature
        log_tau = log_temperature(tau, value.device)
        forced = self.params.isinf()
        score = self.params.masked_fill(forced, 0.0) - tau * value.masked_fill(forced, 0.0)
        return (log_tau + score - 2 * softplus(score)).masked_fill(forced, 0.0)


def _term(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Compute ``p (log p - log q)``, 0 where p is 0."""
    return log_p.exp() * (log_p - log_q).masked_fill(log_p.exp() == 0, 0.0)
