"""The contract: :class:`Relaxation`, which a plugin writes, and the law that a user holds.

A relaxation is a stateless, hashable object: options, shapes, and pure functions of tensors.
Calling it with parameters gives a :class:`RelaxedDistribution`, a ``torch.distributions`` law that
is written once, here, and is final. All shape checks, temperature broadcasting, ``expand`` and the
refusal of absent quantities live in this file, so that no plugin can get them wrong.

Two laws, two names: ``q.log_prob`` is the *density of the soft sample*, ``q.discrete.log_prob`` the
*mass of the structure*.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NoReturn, Self, final

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from torch.distributions.kl import register_kl

from relaxit import shapes
from relaxit.errors import DomainError, Unsupported
from relaxit.options import Configured, Options

__all__ = ["API", "Capabilities", "Options", "Relaxation", "RelaxedDistribution"]

API = 1
"""Version of this contract. A plugin states the one it was written for."""

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Capabilities:
    """What a relaxation claims to offer. Every claim, and every denial, is tested.

    Attributes:
        density: ``log_prob`` of the soft sample exists.
        log_space: the companion law of the log of the soft sample exists.
        discrete_law: the discrete law exists, with mass and entropy.
        exact_rounding: the hard value of a draw follows the discrete law exactly.
        masks: ``-inf`` parameters are legal and exclude a choice.
        compiles: ``torch.compile(fullgraph=True)`` goes through.
        dtypes: dtypes of the parameters.
    """

    density: bool
    discrete_law: bool
    exact_rounding: bool
    log_space: bool = False
    masks: bool = False
    compiles: bool = True
    dtypes: tuple[torch.dtype, ...] = _FLOATS


class Relaxation(Configured, ABC):
    """A discrete structure and its continuous relaxation. What a plugin subclasses.

    Write ``event_shape``, ``param_shape``, ``support``, ``vertices``, ``rsample`` and ``hard``, and
    whichever of ``draw``, ``log_prob``, ``log_space``, ``discrete`` the capabilities claim. In all
    of them ``params`` is ``[*batch, *param_shape]`` and ``temperature`` a float or a tensor that
    broadcasts against params (``[*batch, 1, ..., 1]``, float32 at least): the core has aligned and
    checked it, so ``params / temperature`` is right as it stands; cast the sample back to the dtype
    of params. Parameters of zero mean the uniform law. The laws that ``discrete`` and ``log_space``
    return take ``generator`` in ``sample`` and ``rsample``, which torch's own do not.
    """

    kind: ClassVar[str] = "relaxation"
    capabilities: ClassVar[Capabilities]

    @property
    @abstractmethod
    def event_shape(self) -> torch.Size:
        """Shape of one value."""

    @property
    @abstractmethod
    def param_shape(self) -> torch.Size:
        """Shape of the parameters of one variable. A model sizes its encoder from it."""

    @property
    @abstractmethod
    def support(self) -> Constraint:
        """Where soft values lie: the polytope."""

    @property
    @abstractmethod
    def vertices(self) -> Constraint:
        """Where hard values lie: its vertices."""

    @abstractmethod
    def rsample(
        self,
        params: Tensor,  # [*batch, *param_shape]
        temperature: float | Tensor,
        shape: torch.Size,
        generator: torch.Generator | None = None,
    ) -> Tensor:  # [*shape, *batch, *event_shape]
        """A soft sample with pathwise gradient, in the dtype of params."""

    @abstractmethod
    def hard(self, soft: Tensor) -> Tensor:  # [..., *event_shape] -> same
        """The vertex nearest to ``soft``: a function of it, never a fresh draw."""

    def draw(
        self,
        params: Tensor,
        temperature: float | Tensor,
        shape: torch.Size,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Soft and hard value from one noise. The default rounds the soft one."""
        soft = self.rsample(params, temperature, shape, generator)
        return soft, self.hard(soft.detach())

    def log_prob(
        self, params: Tensor, temperature: float | Tensor, value: Tensor
    ) -> Tensor:  # [..., *event_shape] -> [..., *batch]
        """Log-density of a soft value.

        Raises:
            Unsupported: if the relaxation has no tractable density.
        """
        raise self.unsupported("log_prob, the density of the soft sample")

    def log_space(self, params: Tensor, temperature: float | Tensor) -> Distribution:
        """The law of the soft sample in a coordinate where nothing underflows.

        That coordinate is the logarithm for a simplex and the logit for an interval;
        :meth:`from_log_space` maps back. Exact at any temperature.

        Raises:
            Unsupported: if there is none.
        """
        raise self.unsupported("log_space, the law of the log of the soft sample")

    def from_log_space(self, value: Tensor) -> Tensor:
        """The soft value that a value of the :meth:`log_space` law stands for."""
        return value.exp()

    def discrete(self, params: Tensor) -> Distribution:
        """The exact discrete law that is being relaxed.

        Raises:
            Unsupported: if it is not tractable.
        """
        raise self.unsupported("discrete, the exact discrete law")

    def valid_params(self, params: Tensor) -> Tensor:
        """Which parameters of the batch are legal, ``[*batch]`` of bool. Default: all finite."""
        ok = params.isfinite()
        return ok.flatten(-len(self.param_shape)).all(-1) if self.param_shape else ok

    @cached_property
    def log_cardinality(self) -> float:
        """Logarithm of the number of hard values: the entropy of the uniform law, in nats."""
        zeros = torch.zeros(self.param_shape, dtype=torch.float64)
        return float(self.discrete(zeros).entropy())

    def kl_to_uniform(self, params: Tensor) -> Tensor:  # [*batch]
        """KL divergence of the discrete law from the uniform one, in nats.

        Exact by default. A relaxation without a tractable law may return a named upper bound and
        must say so in its documentation.
        """
        return self.log_cardinality - self.discrete(params).entropy()

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Small instances, few enough values to enumerate; used by checks and listings."""
        required = any(field.is_required() for field in cls.Options.model_fields.values())
        return [] if required else [cls()]

    @final
    def unsupported(self, what: str) -> Unsupported:
        """The error for an absent quantity, naming what there is instead."""
        offers = {
            "log_prob": self.capabilities.density,
            "log_space": self.capabilities.log_space,
            "discrete": self.capabilities.discrete_law,
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
        """The law with these parameters.

        Args:
            params: ``[*batch, *param_shape]``, a floating dtype.
            temperature: float, or tensor that broadcasts to the batch shape; positive.
            validate_args: whether values are checked, not only shapes. None checks them on the CPU
                outside compiled and vmapped code, and never makes a GPU wait.

        Raises:
            TypeError: if params is not a floating tensor.
            ShapeError: if a shape does not fit.
            DomainError: for a temperature that is not finite and positive, or illegal params.
        """
        return RelaxedDistribution(self, params, temperature, validate_args=validate_args)


@final
class RelaxedDistribution(Distribution):
    """The law of a relaxed discrete variable: what a user holds. Written once and final.

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
        if isinstance(temperature, int | float) and not isinstance(temperature, bool):
            shapes.check_temperature_value(temperature)
        elif not isinstance(temperature, Tensor):
            raise TypeError(f"{name}: temperature must be a number or tensor, got {temperature!r}")
        batch_shape = shapes.batch_shape_of(name, "params", params, relaxation.param_shape)
        rank = len(relaxation.param_shape)
        self.relaxation = relaxation
        self.params = params
        self.temperature = temperature
        aligned = shapes.align_temperature(name, temperature, batch_shape, rank)
        if isinstance(aligned, Tensor):  # its logarithm is a term of the density: not in half
            aligned = aligned.to(torch.promote_types(aligned.dtype, torch.float32))
        self.aligned_temperature = aligned
        self._checked = _checks_values(params) if validate_args is None else validate_args
        if self._checked:
            self._check_values()
        super().__init__(batch_shape, relaxation.event_shape, validate_args=False)

    def _check_values(self) -> None:
        name, temperature = self.relaxation.name, self.temperature
        if isinstance(temperature, Tensor):
            ok = temperature.detach().isfinite() & (temperature.detach() > 0)
            if _known_false(ok.all()):
                raise DomainError(f"{name}: temperature must be finite and > 0 everywhere")
        valid = self.relaxation.valid_params(self.params.detach())
        if _known_false(valid.all()):
            raise DomainError(
                f"{name}: {int((~valid).sum())} of {valid.numel()} parameter sets are illegal "
                "(NaN, +inf, or every choice masked)"
            )

    def expand(self, batch_shape: Any, _instance: Any = None) -> RelaxedDistribution:
        """The same law over a larger batch; no memory is copied."""
        batch_shape = torch.Size(batch_shape)
        temperature = self.temperature
        if isinstance(temperature, Tensor) and temperature.dim() > 0:
            temperature = temperature.expand(batch_shape)
        params = self.params.expand(batch_shape + self.relaxation.param_shape)
        larger = RelaxedDistribution(self.relaxation, params, temperature, validate_args=False)
        larger._checked = self._checked  # the values were checked, those to come will be
        return larger

    @property
    def support(self) -> Constraint:
        return self.relaxation.support

    def rsample(
        self, sample_shape: Any = torch.Size(), generator: torch.Generator | None = None
    ) -> Tensor:
        """Soft sample ``[*sample, *batch, *event]`` with pathwise gradient."""
        shape = shapes.as_size(sample_shape)
        return self.relaxation.rsample(self.params, self.aligned_temperature, shape, generator)

    def sample(
        self, sample_shape: Any = torch.Size(), generator: torch.Generator | None = None
    ) -> Tensor:
        """Soft sample ``[*sample, *batch, *event]`` without gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape, generator)

    def draw(
        self, sample_shape: Any = torch.Size(), generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Soft and hard sample made from the same noise. Only the soft one carries a gradient."""
        shape = shapes.as_size(sample_shape)
        return self.relaxation.draw(self.params, self.aligned_temperature, shape, generator)

    def hard(self, soft: Tensor) -> Tensor:
        """The vertex nearest to ``soft`` (``[..., *event]``), without gradient."""
        shapes.batch_shape_of(self.relaxation.name, "value", soft, self.event_shape)
        return self.relaxation.hard(soft.detach())

    def sample_hard(
        self, sample_shape: Any = torch.Size(), generator: torch.Generator | None = None
    ) -> Tensor:
        """A discrete value ``[*sample, *batch, *event]``, without gradient.

        Drawn from the exact discrete law if there is one, otherwise the vertex of a fresh draw.
        """
        with torch.no_grad():
            if self.relaxation.capabilities.discrete_law:
                law: Any = self.discrete  # torch's base class knows no generator
                value: Tensor = law.sample(shapes.as_size(sample_shape), generator=generator)
                return value
            return self.draw(sample_shape, generator)[1]

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of the soft value ``[..., *event]``; for the mass see :attr:`discrete`.

        Raises:
            Unsupported: if the relaxation has no density.
            DomainError: where values are checked, if the density does not exist at the value (a
                vertex, or a point outside the support).
        """
        shapes.batch_shape_of(self.relaxation.name, "value", value, self.event_shape)
        result = self.relaxation.log_prob(self.params, self.aligned_temperature, value)
        if self._checked:
            inside = self.support.check(value.detach()).all() & ~result.detach().isnan().any()
            if _known_false(inside):
                raise DomainError(
                    f"{self.relaxation.name}: the relaxed law has no density at this value, which "
                    "is a vertex or outside the support. For the mass of a hard value use "
                    "q.discrete.log_prob; for soft samples that underflow use q.log_space"
                )
        return result

    @property
    def discrete(self) -> Distribution:
        """The exact discrete law: mass, ``mean`` (marginals), ``mode``, entropy, sample."""
        return self.relaxation.discrete(self.params)

    @property
    def log_space(self) -> Distribution:
        """The law of the soft sample in log coordinates, exact at any temperature."""
        return self.relaxation.log_space(self.params, self.aligned_temperature)

    def kl_to_uniform(self) -> Tensor:
        """KL divergence ``[*batch]`` of the discrete law from the uniform one, in nats."""
        return self.relaxation.kl_to_uniform(self.params)

    def _absent(self, what: str) -> NoReturn:
        raise Unsupported(
            f"the {what} of the relaxed law has no closed form; q.discrete has that of the "
            "discrete law"
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
        "the KL divergence between two relaxed laws has no closed form. Exact between the discrete "
        "laws: kl_divergence(p.discrete, q.discrete). By sampling: x = p.log_space.rsample((n,)), "
        "(p.log_space.log_prob(x) - q.log_space.log_prob(x)).mean(0)"
    )


def _checks_values(tensor: Tensor) -> bool:
    # Compiled code would break its graph at the check, and a GPU would have to be waited for.
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def _known_false(flag: Tensor) -> bool:
    """Whether a 0-dim bool is False. Under vmap, where no branch may look, it is not known."""
    try:
        return not bool(flag)
    except RuntimeError:
        return False
