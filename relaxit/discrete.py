"""The exact discrete law of a structure: what all of them share, written once.

A plugin writes formulas, :class:`DiscreteDistribution` adds what goes wrong when written again each
time: arithmetic in float32 at least, values in the dtype of params, ``generator=``, ``expand``,
``-inf`` for what is no value, and the dispatch of divergences.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, final

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from torch.distributions.kl import register_kl

from relaxit import shapes
from relaxit.arithmetic import without_autocast
from relaxit.dtypes import compute_dtype
from relaxit.errors import Unsupported

if TYPE_CHECKING:
    from relaxit.relaxation import Relaxation

__all__ = ["DiscreteDistribution"]


class DiscreteDistribution(Distribution, ABC):
    """Base of the laws that ``discrete`` returns. A relaxation may return any other law as well.

    Write :meth:`_log_prob`, :meth:`entropy`, :meth:`_mean`, :meth:`_mode` and :meth:`_sample`, and
    :meth:`_enumerate_support` and :meth:`kl` where there are any, all of them as functions of
    :attr:`scores`.

    Args:
        relaxation: the structure, which knows shapes and options.
        params: ``[*batch, *param_shape]``.

    Attributes:
        params: as given.
        scores: the same in float32, or in float64 if params are.

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
        """Log-mass of values in the dtype of scores. What is no value need not be thought of."""

    @abstractmethod
    def entropy(self) -> Tensor:  # [*batch]
        """Entropy in nats."""

    @abstractmethod
    def _mean(self) -> Tensor:  # [*batch, *event_shape]
        """Mean of the values."""

    @abstractmethod
    def _mode(self) -> Tensor:  # [*batch, *event_shape]
        """A value of the greatest mass, in any dtype."""

    @abstractmethod
    def _sample(
        self, shape: torch.Size, generator: torch.Generator | None = None
    ) -> Tensor:  # [*shape, *batch, *event_shape]
        """Independent values, in any dtype. Gradients are off."""

    def _enumerate_support(self) -> Tensor:  # [N, *event_shape]
        """All values, in any dtype.

        Raises:
            Unsupported: if they are too many, or cannot be listed.
        """
        raise Unsupported(
            f"{self.relaxation.name}: the values of {self.relaxation!r} are not listed"
        )

    def kl(self, other: Any) -> Tensor:  # [*batch]
        """KL divergence from another law of the same relaxation, in nats.

        Raises:
            Unsupported: if there is no formula.
        """
        raise Unsupported(f"{self.relaxation.name} has no KL divergence between two of its laws")

    @final
    def log_prob(self, value: Tensor) -> Tensor:
        """Log-mass ``[...]`` of values ``[..., *event_shape]``; ``-inf`` for what is no value."""
        owner = f"{self.relaxation.name}, discrete law"
        shapes.batch_shape_of(owner, "value", value, self.event_shape)
        with without_autocast(self.scores):
            mass = self._log_prob(value.to(self.scores.dtype))
        return mass.masked_fill(~self.support.check(value), -torch.inf)

    @final
    def sample(
        self, sample_shape: Any = torch.Size(), generator: torch.Generator | None = None
    ) -> Tensor:
        """Values ``[*sample, *batch, *event_shape]`` in the dtype of params, without gradient."""
        with torch.no_grad(), without_autocast(self.scores):
            return self._sample(shapes.as_size(sample_shape), generator).to(self.params.dtype)

    @final
    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values, ``[N, *batch, *event_shape]`` (``[N, 1, ..., 1, *event_shape]``)."""
        listed = self._enumerate_support().to(self.params.device, self.params.dtype)
        listed = listed.view(-1, *(1,) * len(self.batch_shape), *self.event_shape)
        return listed.expand(-1, *self.batch_shape, *self.event_shape) if expand else listed

    @property
    @final
    def mean(self) -> Tensor:
        """Marginals in the dtype of params."""
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


@register_kl(DiscreteDistribution, DiscreteDistribution)
def _kl(p: DiscreteDistribution, q: DiscreteDistribution) -> Tensor:
    if p.relaxation != q.relaxation:
        raise Unsupported(f"no KL divergence between {p.relaxation!r} and {q.relaxation!r}")
    with without_autocast(p.scores):
        return p.kl(q)
