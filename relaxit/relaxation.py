"""The contract: :class:`Relaxation`, which a plugin subclasses.

A relaxation is a stateless, hashable object: options, shapes, and pure functions of tensors.
Calling it with parameters returns a :class:`~relaxit.distribution.RelaxedDistribution`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar, Self, final

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint

from relaxit.aliases import Generator
from relaxit.autograd import replace_gradient
from relaxit.capabilities import Capabilities
from relaxit.distribution import RelaxedDistribution
from relaxit.errors import Unsupported
from relaxit.options import Configured, Options
from relaxit.parts import join, split
from relaxit.seeded_distribution import SeededDistribution

__all__ = ["Capabilities", "Options", "Relaxation", "RelaxedDistribution"]


class Relaxation(Configured, ABC):
    """A discrete structure and its continuous relaxation: the base class for plugins.

    Implement ``event_shape``, ``param_shape``, ``support``, ``vertices``, ``rsample`` and ``hard``,
    and whichever of ``draw``, ``log_prob``, ``log_space``, ``discrete`` the capabilities claim. In
    all of them ``params`` is ``[*batch, *param_shape]`` and ``temperature`` is a float or a tensor
    that broadcasts against params (``[*batch, 1, ..., 1]``, at least float32). The core has aligned
    and checked it, so ``params / temperature`` needs no further reshaping; cast the sample back to
    the dtype of params. Parameters of zero mean the uniform distribution. The distributions that
    ``discrete`` and ``log_space`` return accept ``generator`` in ``sample`` and ``rsample``, unlike
    torch's own.
    """

    kind: ClassVar[str] = "relaxation"
    capabilities: ClassVar[Capabilities]

    @property
    @abstractmethod
    def event_shape(self) -> torch.Size:
        """Shape of a single value."""

    @property
    @abstractmethod
    def param_shape(self) -> torch.Size:
        """Shape of the parameters of one variable. A model sizes its encoder from it."""

    @property
    def parts(self) -> Mapping[str, torch.Size]:
        """Named parts of params, with their shapes; empty if params are one whole.

        They are flattened and concatenated to params in this order, so their sizes add up to
        ``param_shape``, which then has one dimension.
        """
        return {}

    @final
    def join(self, **parts: Tensor) -> Tensor:
        """Return params made of named parts, which broadcast; see :func:`relaxit.parts.join`."""
        return join(self.name, self.parts, parts)

    @final
    def split(self, params: Tensor) -> dict[str, Tensor]:
        """Return the parts of params, scores or statistics; see :func:`relaxit.parts.split`."""
        return split(self.name, self.parts, params)

    def statistics(self, value: Tensor) -> Tensor:  # [..., *event_shape] -> [..., *param_shape]
        """Return what params multiply: the score of a hard value is ``<params, statistics>``.

        The value with the highest score is the ``argmax`` of a :class:`relaxit.PerturbAndRelax`. By
        default the statistics are the value itself, if it has the shape of params.

        Raises:
            Unsupported: if the score of a value is not linear in params.
        """
        self._require_alike("statistics, the linear score of a value")
        return value

    def from_statistics(self, statistics: Tensor) -> Tensor:
        """Return the value that has these statistics, ``[..., *event_shape]``: a linear function.

        So the mean of the statistics gives the mean of the values.

        Raises:
            Unsupported: if the score of a value is not linear in params.
        """
        self._require_alike("from_statistics, the value with given statistics")
        return statistics

    def _require_alike(self, what: str) -> None:
        if self.param_shape != self.event_shape:
            raise self.unsupported(what)

    @classmethod
    def sizes(cls, shape: torch.Size) -> dict[str, int]:
        """Return the options that follow from the shape ``[*batch, *param_shape]`` of params.

        With them users need not state a size that the tensor has: layers and the constructors of
        ``relaxit`` ask for them. The default is that there are none.

        Args:
            shape: shape of params; it may be too short.

        Example:
            >>> import torch, relaxit
            >>> relaxit.relaxations()["categorical"].sizes(torch.Size([32, 10]))
            {'categories': 10}
        """
        del shape
        return {}

    @property
    @abstractmethod
    def support(self) -> Constraint:
        """Constraint on soft values: the polytope."""

    @property
    @abstractmethod
    def vertices(self) -> Constraint:
        """Constraint on hard values: the vertices of the polytope."""

    @abstractmethod
    def rsample(
        self,
        params: Tensor,  # [*batch, *param_shape]
        temperature: float | Tensor,
        shape: torch.Size,
        generator: Generator = None,
    ) -> Tensor:  # [*shape, *batch, *event_shape]
        """Draw a soft sample with pathwise gradient, in the dtype of params."""

    @abstractmethod
    def hard(self, soft: Tensor) -> Tensor:  # [..., *event_shape] -> same
        """Return the vertex nearest to ``soft``: a function of it, never a fresh draw."""

    def draw(
        self,
        params: Tensor,
        temperature: float | Tensor,
        shape: torch.Size,
        generator: Generator = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw a soft and a hard sample from the same noise. The default rounds the soft one."""
        soft = self.rsample(params, temperature, shape, generator)
        return soft, self.hard(soft.detach())

    def straight_through(
        self,
        params: Tensor,
        temperature: float | Tensor,
        shape: torch.Size,
        generator: Generator = None,
    ) -> Tensor:  # [*shape, *batch, *event_shape]
        """Return exactly the hard sample of :meth:`draw`, with the gradient of its soft sample.

        The default draws both and copies the hard one. Override it where that can be avoided.

        Reference: Jang, Gu, Poole, arXiv:1611.01144, section 2.2.
        """
        soft, hard = self.draw(params, temperature, shape, generator)
        return replace_gradient(hard, soft)

    def log_prob(
        self, params: Tensor, temperature: float | Tensor, value: Tensor
    ) -> Tensor:  # [..., *event_shape] -> [..., *batch]
        """Compute the log-density of a soft value.

        Raises:
            Unsupported: if the relaxation has no tractable density.
        """
        raise self.unsupported("log_prob, the density of the soft sample")

    def log_space(self, params: Tensor, temperature: float | Tensor) -> SeededDistribution:
        """Return the distribution of the soft sample in a coordinate where nothing underflows.

        That coordinate is the logarithm for a simplex and the logit for an interval;
        :meth:`from_log_space` maps back. The distribution is exact at any temperature.

        Raises:
            Unsupported: if there is no such distribution.
        """
        raise self.unsupported("log_space, the distribution of the log of the soft sample")

    def from_log_space(self, value: Tensor) -> Tensor:
        """Map a value of the :meth:`log_space` distribution to the soft value it stands for."""
        return value.exp()

    def discrete(self, params: Tensor) -> SeededDistribution:
        """Return the exact discrete distribution that is relaxed.

        Raises:
            Unsupported: if it is not tractable.
        """
        raise self.unsupported("discrete, the exact discrete distribution")

    def valid_params(self, params: Tensor) -> Tensor:
        """Return which params are legal, bool ``[*batch]``. By default all entries are finite."""
        ok = params.isfinite()
        return ok.flatten(-len(self.param_shape)).all(-1) if self.param_shape else ok

    @property
    def illegal_params(self) -> str:
        """What :meth:`valid_params` rejects, in a few words for the error message."""
        return "NaN, +inf, or every choice masked" if self.capabilities.masks else "NaN or infinite"

    def enumerate_vertices(self) -> Tensor:  # [N, *event_shape]
        """Return all hard values of a small instance. Default: the support of ``discrete``.

        Implement it if there is no discrete distribution but there are few values: the checks then
        compare with the enumeration.

        Raises:
            Unsupported: if there is no discrete distribution.
        """
        return self.discrete(self._zeros()).enumerate_support()

    @cached_property
    def log_cardinality(self) -> float:
        """Log of the number of hard values: the entropy of the uniform distribution, in nats."""
        return float(self.discrete(self._zeros()).entropy())

    def _zeros(self) -> Tensor:
        """Return params of the uniform distribution, on the CPU whatever the default device is."""
        dtype = _widest(self.capabilities.dtypes)
        return torch.zeros(self.param_shape, dtype=dtype, device="cpu")

    def kl_to_uniform(self, params: Tensor) -> Tensor:  # [*batch]
        """Compute the KL divergence of the discrete distribution from the uniform one, in nats.

        Params are at least float32. The default is exact up to rounding, which may give -1e-7 for a
        uniform distribution. A relaxation without a tractable distribution may return a named upper
        bound and must say so in its documentation.
        """
        if not self.capabilities.discrete_distribution:
            raise self.unsupported("kl_to_uniform (implement it, or the discrete distribution)")
        # Not clamped at 0: rounding would then decide whether a nearly uniform variable gets a
        # gradient, and Adam turns a small gradient into a full step.
        return self.log_cardinality - self.discrete(params).entropy()

    @property
    def kl_is_exact(self) -> bool:
        """Whether :meth:`kl_to_uniform` is the divergence itself, not an upper bound.

        By default it is assumed to be exact if there is a discrete distribution.
        """
        return self.capabilities.discrete_distribution

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Return small instances with few enough values to enumerate, for checks and listings."""
        required = any(field.is_required() for field in cls.Options.model_fields.values())
        return [] if required else [cls()]

    @final
    def unsupported(self, what: str) -> Unsupported:
        """Return the error for an absent quantity, which names the quantities that exist."""
        offers = {
            "log_prob": self.capabilities.density,
            "log_space": self.capabilities.log_space,
            "discrete": self.capabilities.discrete_distribution,
        }
        listed = ", ".join(
            ["sample", "rsample", "hard", "draw", *(k for k, v in offers.items() if v)]
        )
        return Unsupported(f"{self.name} has no {what}. It offers: {listed}")

    @final
    def __call__(
        self,
        params: Tensor,
        temperature: float | Tensor = 1.0,
        *,
        validate_args: bool | None = None,
    ) -> RelaxedDistribution:
        """Return the distribution with these parameters.

        Args:
            params: parameters ``[*batch, *param_shape]`` of a floating dtype.
            temperature: positive float, or tensor that broadcasts to the batch shape.
            validate_args: whether to check values as well as shapes. None checks them on the CPU,
                outside compiled and vmapped code, and never waits for a GPU. Then
                ``torch.distributions.Distribution.set_default_validate_args(False)`` and
                ``python -O`` turn checks off, unless ``torch.compile`` has run in the process,
                which turns off torch's default by itself.

        Raises:
            TypeError: if params is not a floating tensor.
            ShapeError: if a shape does not fit.
            DomainError: if the temperature is not finite and positive, or params are illegal.
        """
        return RelaxedDistribution(self, params, temperature, validate_args=validate_args)


def _widest(dtypes: Sequence[torch.dtype]) -> torch.dtype:
    return max(dtypes, key=lambda dtype: torch.finfo(dtype).bits)
