"""The contract: :class:`Relaxation`, which a plugin writes.

A relaxation is a stateless, hashable object: options, shapes, and pure functions of tensors.
Calling it with parameters gives a :class:`~relaxit.distribution.RelaxedDistribution`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Self, final

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from relaxit.autograd import replace_gradient
from relaxit.distribution import RelaxedDistribution
from relaxit.errors import Unsupported
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
        discrete_distribution: the discrete law exists, with mass and entropy.
        exact_rounding: the hard value of a draw follows the discrete law exactly.
        masks: ``-inf`` parameters are legal and exclude a choice.
        conditional: perturbed scores can be drawn given their hard value, see
            :meth:`relaxit.PerturbAndRelax.perturb_given`. The discrete law is then that of the hard
            value of a draw.
        logits: what params are the logits of: the one ``category`` of a one-hot value, or
            independent ``bits``, one a param; empty if nothing of the kind.
        compiles: ``torch.compile(fullgraph=True)`` goes through.
        dtypes: dtypes of the parameters.
    """

    density: bool
    discrete_distribution: bool
    exact_rounding: bool
    log_space: bool = False
    masks: bool = False
    conditional: bool = False
    logits: Literal["", "category", "bits"] = ""
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

    def straight_through(
        self,
        params: Tensor,
        temperature: float | Tensor,
        shape: torch.Size,
        generator: torch.Generator | None = None,
    ) -> Tensor:  # [*shape, *batch, *event_shape]
        """The hard value of :meth:`draw`, to the last bit, with the gradient of its soft value.

        The default draws both and copies the hard one. Override it where that can be avoided.

        Reference: Jang, Gu, Poole, arXiv:1611.01144, section 2.2.
        """
        soft, hard = self.draw(params, temperature, shape, generator)
        return replace_gradient(hard, soft)

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

    @property
    def illegal_params(self) -> str:
        """What :meth:`valid_params` refuses, in a few words for the message of the error."""
        return "NaN, +inf, or every choice masked" if self.capabilities.masks else "NaN or infinite"

    def enumerate_vertices(self) -> Tensor:  # [N, *event_shape]
        """All hard values of a small instance. Default: the support of the discrete law.

        Write it where there is no discrete law but few values: the checks then compare with
        enumeration.

        Raises:
            Unsupported: if there is no discrete law.
        """
        return self.discrete(self._zeros()).enumerate_support()

    @cached_property
    def log_cardinality(self) -> float:
        """Logarithm of the number of hard values: the entropy of the uniform law, in nats."""
        return float(self.discrete(self._zeros()).entropy())

    def _zeros(self) -> Tensor:
        """Params of the uniform law, wherever the process makes its tensors by default."""
        dtype = _widest(self.capabilities.dtypes)
        return torch.zeros(self.param_shape, dtype=dtype, device="cpu")

    def kl_to_uniform(self, params: Tensor) -> Tensor:  # [*batch]
        """KL divergence of the discrete law from the uniform one, in nats.

        Params arrive in float32 at least. Exact by default, up to rounding, which may leave a
        uniform law at -1e-7. A relaxation without a tractable law may return a named upper bound
        and must say so in its documentation.
        """
        if not self.capabilities.discrete_distribution:
            raise self.unsupported("kl_to_uniform (write it, or the discrete law)")
        # Not clamped at 0: rounding would then decide whether a nearly uniform variable gets a
        # gradient, and Adam makes a full step of a small one.
        return self.log_cardinality - self.discrete(params).entropy()

    @property
    def kl_is_exact(self) -> bool:
        """Whether :meth:`kl_to_uniform` is the divergence itself, not a bound from above.

        By default it is taken for exact where there is a discrete law.
        """
        return self.capabilities.discrete_distribution

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


def _widest(dtypes: Sequence[torch.dtype]) -> torch.dtype:
    return max(dtypes, key=lambda dtype: torch.finfo(dtype).bits)
