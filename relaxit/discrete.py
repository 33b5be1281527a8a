"""The base class of exact discrete distributions.

A plugin implements the formulas. :class:`DiscreteDistribution` adds what is easily written wrong
each time: arithmetic in at least float32, values in the dtype of params, ``generator=``,
``expand``, ``-inf`` outside the support, and the dispatch of divergences.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, final

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint
from torch.distributions.kl import register_kl

from relaxit import shapes
from relaxit.aliases import Generator, Shape
from relaxit.arithmetic import without_autocast
from relaxit.dtypes import compute_dtype
from relaxit.errors import Unsupported
from relaxit.seeded_distribution import SeededDistribution
from relaxit.tracing import gradients_off

if TYPE_CHECKING:
    from relaxit.relaxation import Relaxation

__all__ = ["DiscreteDistribution"]


class DiscreteDistribution(SeededDistribution, ABC):
    """Base class of the distributions that ``discrete`` returns.

    A relaxation may return any other distribution as well. Implement :meth:`_log_prob`,
    :meth:`entropy`, :meth:`_mean`, :meth:`_mode` and :meth:`_sample`, and, where they exist,
    :meth:`_enumerate_support` and :meth:`kl`, all of them as functions of :attr:`scores`.

    Args:
        relaxation: the structure, which defines shapes and options.
        params: parameters ``[*batch, *param_shape]``.

    Attributes:
        params: the params as passed.
        scores: the params in float32, or in float64 if they are float64.

    Example:
        >>> import torch, relaxit
        >>> class Coins(relaxit.DiscreteDistribution):
        ...     def _log_prob(self, value):
        ...         return torch.nn.functional.logsigmoid(value * self.scores).sum(-1)
        ...     def entropy(self):
        ...         p = self.scores.sigmoid()
        ...         return torch.special.entr(p).sum(-1) + torch.special.entr(1 - p).sum(-1)
        ...     def _mean(self):
        ...         return self.scores.sigmoid()
        ...     def _mode(self):
        ...         return self.scores > 0
        ...     def _sample(self, shape, generator=None):
        ...         u = relaxit.noise.uniform(shape + self.scores.shape, generator=generator)
        ...         return u < self.scores.sigmoid()
        >>> coins = Coins(relaxit.get("binary"), torch.zeros(5, dtype=torch.bfloat16))
        >>> coins.sample((2,)).dtype, coins.mean.dtype, coins.entropy().dtype
        (torch.bfloat16, torch.bfloat16, torch.float32)
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, relaxation: Relaxation, params: Tensor) -> None:
        self.relaxation = relaxation
        self.params = params
        self.scores = params.to(compute_dtype(params.dtype))
        batch = params.shape[: params.dim() - len(relaxation.param_shape)]
        super().__init__(batch, relaxation.event_shape, validate_args=False)

    @abstractmethod
    def _log_prob(self, value: Tensor) -> Tensor:  # [..., *event_shape] -> [...]
        """Log-mass of values in the dtype of scores; the base class handles other points."""

    @abstractmethod
    def entropy(self) -> Tensor:  # [*batch]
        """Compute the entropy in nats."""

    @abstractmethod
    def _mean(self) -> Tensor:  # [*batch, *event_shape]
        """Compute the mean of the values."""

    @abstractmethod
    def _mode(self) -> Tensor:  # [*batch, *event_shape]
        """Return a value of the greatest mass, in any dtype."""

    @abstractmethod
    def _sample(
        self, shape: torch.Size, generator: Generator = None
    ) -> Tensor:  # [*shape, *batch, *event_shape]
        """Draw independent values, in any dtype. Gradients are off."""

    def _enumerate_support(self) -> Tensor:  # [N, *event_shape]
        """Return all values, in any dtype.

        Raises:
            Unsupported: if there are too many values, or they cannot be listed.
        """
        raise Unsupported(
            f"{self.relaxation.name}: the values of {self.relaxation!r} cannot be listed"
        )

    def kl(self, other: Any) -> Tensor:  # [*batch]
        """Compute the KL divergence from another distribution of the same relaxation, in nats.

        Raises:
            Unsupported: if there is no formula.
        """
        raise Unsupported(
            f"{self.relaxation.name} has no KL divergence between two of its discrete distributions"
        )

    @final
    def log_prob(self, value: Tensor) -> Tensor:
        """Log-mass ``[...]`` of values ``[..., *event_shape]``; ``-inf`` outside the support.

        Raises:
            DomainError: if the value is not a tensor.
            ShapeError: if the value does not broadcast against the batch.
        """
        owner = f"{self.relaxation.name}, discrete distribution"
        shapes.check_value(owner, value, self.batch_shape, self.event_shape)
        with without_autocast(self.scores):
            mass = self._log_prob(value.to(self.scores.dtype))
        return mass.masked_fill(~self.support.check(value), -torch.inf)

    @final
    def sample(self, sample_shape: Shape = torch.Size(), generator: Generator = None) -> Tensor:
        """Draw values ``[*sample, *batch, *event_shape]``, in the dtype of params, no gradient."""
        with gradients_off(), without_autocast(self.scores):
            return self._sample(shapes.as_size(sample_shape), generator).to(self.params.dtype)

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        """Whether :meth:`enumerate_support` lists the values. Pyro sums over them if it does.

        The first query lists them, once per relaxation. Override it if a formula is cheaper.
        """
        key = (type(self), self.relaxation)
        if key not in _LISTED:
            _LISTED[key] = self._lists_values()
        return _LISTED[key]

    def _lists_values(self) -> bool:
        try:
            self._enumerate_support()
        except NotImplementedError:
            return False
        return True

    @final
    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Return all values ``[N, *batch, *event_shape]``, or ``[N, 1, ..., 1, *event_shape]``."""
        listed = self._enumerate_support().to(self.params.device, self.params.dtype)
        listed = listed.reshape(-1, *(1,) * len(self.batch_shape), *self.event_shape)
        return listed.expand(-1, *self.batch_shape, *self.event_shape) if expand else listed

    @property
    @final
    def mean(self) -> Tensor:
        """Mean (marginals) in the dtype of params."""
        with without_autocast(self.scores):
            return self._mean().to(self.params.dtype)

    @property
    @final
    def mode(self) -> Tensor:
        """A value of the greatest mass, in the dtype of params."""
        with without_autocast(self.scores):
            return self._mode().to(self.params.dtype)

    @property
    def support(self) -> Constraint:
        return self.relaxation.vertices

    def expand(self, batch_shape: Any, _instance: Any = None) -> DiscreteDistribution:
        shape = torch.Size(batch_shape) + self.relaxation.param_shape
        return type(self)(self.relaxation, self.params.expand(shape))


_LISTED: dict[tuple[type, Relaxation], bool] = {}
"""Whether the values of the discrete distribution of a relaxation can be listed, if known."""


@register_kl(DiscreteDistribution, DiscreteDistribution)
def _kl(p: DiscreteDistribution, q: DiscreteDistribution) -> Tensor:
    if p.relaxation != q.relaxation:
        raise Unsupported(f"no KL divergence between {p.relaxation!r} and {q.relaxation!r}")
    with without_autocast(p.scores):
        return p.kl(q)
