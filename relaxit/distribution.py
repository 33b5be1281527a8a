"""The distribution of a relaxed variable: the object that users work with.

All shape checks, temperature broadcasting, ``expand`` and the errors for absent quantities are
implemented here, in a final class, so that no plugin can get them wrong. Autocast is meant for
networks and is disabled here.

Two distributions have two names: ``q.log_prob`` is the *density of the soft sample*,
``q.discrete.log_prob`` the *mass of the structure*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, final

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint
from torch.distributions.kl import register_kl

from relaxit import shapes
from relaxit.aliases import Generator, Shape
from relaxit.arithmetic import without_autocast
from relaxit.dtypes import compute_dtype
from relaxit.errors import DomainError, Unsupported
from relaxit.float16 import restore_float32
from relaxit.seeded_distribution import SeededDistribution
from relaxit.temperature import align_temperature, check_temperature_value, without_overflow
from relaxit.tracing import can_read_values, checks_by_default, gradients_off, known_false

if TYPE_CHECKING:
    from relaxit.relaxation import Relaxation

__all__ = ["RelaxedDistribution"]


@final
class RelaxedDistribution(SeededDistribution):
    """The distribution of a relaxed discrete variable.

    Example:
        >>> import torch, relaxit
        >>> q = relaxit.get("categorical", categories=4)(torch.zeros(3, 4), temperature=0.5)
        >>> q.batch_shape, q.event_shape, q.rsample((2,)).shape
        (torch.Size([3]), torch.Size([4]), torch.Size([2, 3, 4]))
        >>> q.discrete.entropy()
        tensor([1.3863, 1.3863, 1.3863])
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    has_rsample = True

    def __init__(
        self,
        relaxation: Relaxation,
        params: Tensor,
        temperature: float | Tensor = 1.0,
        *,
        validate_args: bool | None = None,
    ) -> None:
        name = relaxation.name
        if not isinstance(params, Tensor) or not params.is_floating_point():
            got = params.dtype if isinstance(params, Tensor) else type(params).__name__
            raise TypeError(f"{name}: params must be a floating tensor, got {got}")
        if params.dtype not in relaxation.capabilities.dtypes:
            raise Unsupported(f"{name}: params of {params.dtype} are not supported")
        if not isinstance(temperature, Tensor):
            temperature = _number(name, temperature, compute_dtype(params.dtype))
        batch_shape = shapes.batch_shape_of(name, "params", params, relaxation.param_shape)
        rank = len(relaxation.param_shape)
        self.relaxation = relaxation
        self.params = params
        self.temperature = temperature
        aligned = align_temperature(name, temperature, batch_shape, rank)
        if isinstance(aligned, Tensor):  # its logarithm is a term of the density
            aligned = aligned.to(compute_dtype(aligned.dtype))
            if aligned.dtype != compute_dtype(params.dtype):  # rounded to that, perhaps to 0
                info = torch.finfo(torch.float32)
                aligned = aligned.clamp(info.tiny, info.max)
        self._exact_temperature = aligned  # for the density, which is infinite at 0
        self.aligned_temperature = aligned
        if not isinstance(aligned, Tensor):
            self.aligned_temperature = without_overflow(aligned, compute_dtype(params.dtype))
        if validate_args is None:
            validate_args = can_read_values(params) and checks_by_default()
        if validate_args:
            self._check_values()
        super().__init__(batch_shape, relaxation.event_shape, validate_args=validate_args)

    def _check_values(self) -> None:
        name, temperature = self.relaxation.name, self.temperature
        if isinstance(temperature, Tensor):
            ok = temperature.detach().isfinite() & (temperature.detach() > 0)
            if known_false(ok.all()):
                raise DomainError(f"{name}: temperature must be finite and > 0 everywhere")
        valid = self.relaxation.valid_params(self.params.detach())
        if known_false(_all(valid)):
            raise DomainError(
                f"{name}: illegal params in {int((~valid).sum())} of {valid.numel()} parameter "
                f"sets ({self.relaxation.illegal_params})"
            )

    def expand(self, batch_shape: Any, _instance: Any = None) -> RelaxedDistribution:
        """Return the same distribution over a larger batch, without copying memory."""
        batch_shape = torch.Size(batch_shape)
        temperature = self.temperature
        if isinstance(temperature, Tensor) and temperature.dim() > 0:
            temperature = temperature.expand(batch_shape)
        params = self.params.expand(batch_shape + self.relaxation.param_shape)
        larger = RelaxedDistribution(self.relaxation, params, temperature, validate_args=False)
        larger._validate_args = self._validate_args  # of log_prob; params were checked already
        return larger

    @property
    def support(self) -> Constraint:
        return self.relaxation.support

    def rsample(self, sample_shape: Shape = torch.Size(), generator: Generator = None) -> Tensor:
        """Draw a soft sample ``[*sample, *batch, *event]`` with pathwise gradient."""
        shape = shapes.as_size(sample_shape)
        with without_autocast(self.params):
            return self.relaxation.rsample(self.params, self.aligned_temperature, shape, generator)

    def draw(
        self, sample_shape: Shape = torch.Size(), generator: Generator = None
    ) -> tuple[Tensor, Tensor]:
        """Draw a soft and a hard sample from the same noise; only the soft one has a gradient."""
        shape = shapes.as_size(sample_shape)
        with without_autocast(self.params):
            return self.relaxation.draw(self.params, self.aligned_temperature, shape, generator)

    def hard(self, soft: Tensor) -> Tensor:
        """Return the vertex nearest to ``soft`` (``[..., *event]``), without gradient."""
        shapes.batch_shape_of(self.relaxation.name, "value", soft, self.event_shape)
        with without_autocast(soft):
            return self.relaxation.hard(soft.detach())

    def sample_hard(
        self, sample_shape: Shape = torch.Size(), generator: Generator = None
    ) -> Tensor:
        """Draw a hard sample ``[*sample, *batch, *event]``, without gradient.

        It comes from the exact discrete distribution if there is one, and otherwise it is the hard
        sample of :meth:`draw`.
        """
        with gradients_off():
            if self.relaxation.capabilities.discrete_distribution:
                shape = shapes.as_size(sample_shape)
                return self.discrete.sample(shape, generator=generator)
            return self.draw(sample_shape, generator)[1]

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of a soft value ``[..., *event]``; for the mass see :attr:`discrete`.

        Raises:
            Unsupported: if the relaxation has no density.
            DomainError: if the value is not a tensor, or if values are checked and the density does
                not exist at the value (a vertex, or a point outside the support).
            ShapeError: if the value does not broadcast against the batch.
        """
        shapes.check_value(self.relaxation.name, value, self.batch_shape, self.event_shape)
        if not value.is_floating_point():
            value = value.to(self.params.dtype)
        self._check_resolution(compute_dtype(value.dtype))
        at = restore_float32(value)
        with without_autocast(self.params):
            result = self.relaxation.log_prob(self.params, self._exact_temperature, at)
        if self._validate_args:
            density = result.detach()
            undefined = (density.isnan() | (density == torch.inf)).any()
            if known_false(self.support.check(value.detach()).all() & ~undefined):
                raise DomainError(
                    f"{self.relaxation.name}: the relaxed distribution has no density at this "
                    "value, which is a vertex or outside the support. For the mass of a hard value "
                    "use q.discrete.log_prob; for soft samples that underflow use q.log_space. "
                    f"(Temperature {self.temperature}, params up to {self._largest():.3g})"
                )
        return result

    def _largest(self) -> float:
        """Return the largest absolute value of the finite parameters."""
        finite = self.params.detach().abs()
        return float(torch.where(finite.isfinite(), finite, 0.0).max()) if finite.numel() else 0.0

    def _check_resolution(self, dtype: torch.dtype) -> None:
        """Reject a density that depends on digits which values of this dtype do not have."""
        if not self._validate_args:
            return
        eps, temperature = torch.finfo(dtype).eps, self.temperature
        within: Any = temperature * eps < 1
        if known_false(within.all() if isinstance(within, Tensor) else within):
            raise DomainError(
                f"{self.relaxation.name}: at temperature {temperature} soft values are so nearly "
                f"uniform that {dtype} does not resolve their density; use {1 / eps:.3g} at most"
            )

    @property
    def discrete(self) -> SeededDistribution:
        """Exact discrete distribution: mass, ``mean`` (marginals), ``mode``, entropy, samples."""
        return self.relaxation.discrete(self.params)

    @property
    def log_space(self) -> SeededDistribution:
        """The distribution of the soft sample in log coordinates, exact at any temperature."""
        return self.relaxation.log_space(self.params, self._exact_temperature)

    def kl_to_uniform(self) -> Tensor:
        """KL divergence ``[*batch]`` of the discrete distribution from the uniform one, in nats."""
        with without_autocast(self.params):
            return self.relaxation.kl_to_uniform(self.params.to(compute_dtype(self.params.dtype)))

    def _absent(self, what: str) -> NoReturn:
        raise Unsupported(
            f"the {what} of the relaxed distribution has no closed form; use q.discrete for that "
            "of the discrete distribution"
        )

    @property
    def mean(self) -> Tensor:
        self._absent("mean")

    @property
    def mode(self) -> Tensor:
        self._absent("mode")

    @property
    def variance(self) -> Tensor:
        self._absent("variance")

    def entropy(self) -> Tensor:
        self._absent("entropy")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        self._absent("enumeration")

    def cdf(self, value: Tensor) -> Tensor:
        self._absent("distribution function")

    def icdf(self, value: Tensor) -> Tensor:
        self._absent("quantile function")

    def __repr__(self) -> str:
        shape = list(self.batch_shape)
        return f"{self.relaxation!r}(batch_shape={shape}, temperature={self.temperature})"


@register_kl(RelaxedDistribution, RelaxedDistribution)
def _kl_relaxed(p: RelaxedDistribution, q: RelaxedDistribution) -> Tensor:
    raise Unsupported(
        "the KL divergence between two relaxed distributions has no closed form. Exact, between "
        "the discrete distributions: kl_divergence(p.discrete, q.discrete). By sampling: "
        "x = p.log_space.rsample((n,)), (p.log_space.log_prob(x) - q.log_space.log_prob(x)).mean(0)"
    )


def _number(name: str, temperature: Any, dtype: torch.dtype) -> float:
    """Return a temperature that is not a tensor as a float; NumPy's real numbers are accepted."""
    check_temperature_value(temperature, name)
    if temperature > (most := torch.finfo(dtype).max):
        raise DomainError(f"{name}: temperature {temperature} exceeds {most:.3g} ({dtype})")
    return float(temperature)


def _all(flags: Tensor) -> Tensor:
    """Whether all flags are True; of an expanded flag only one copy is read."""
    repeated = flags.numel() > 1 and not any(flags.stride())
    return flags[(0,) * flags.dim()] if repeated else flags.all()
