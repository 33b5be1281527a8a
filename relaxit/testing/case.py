"""Input of a check: the subject, a device, and seeded params for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from relaxit.errors import Unsupported
from relaxit.estimators import Estimator
from relaxit.options import Configured
from relaxit.relaxation import Relaxation

__all__ = ["Case", "EstimatorCase", "RelaxationCase", "claims", "countable", "denies", "varies"]

MOST_VALUES = 5000
"""Structures with more values than this are not enumerated."""


@dataclass(frozen=True)
class Case:
    """A registered object on a device.

    Args:
        subject: a relaxation or an estimator.
        device: device on which tensors are created.
    """

    subject: Configured
    device: torch.device = field(default=torch.device("cpu"), kw_only=True)

    def __str__(self) -> str:
        return repr(self.subject)

    @cached_property
    def failed(self) -> dict[str, bool]:
        """Checks that other checks depend on, and whether they fail on this case."""
        return {}

    def siblings(self) -> Sequence[Case]:
        """Return the cases of the other examples of the class. They share its expected failures."""
        return []

    def generator(self, seed: int) -> torch.Generator:
        """Return a seeded generator on the device of the case."""
        return torch.Generator(self.device).manual_seed(seed)


@dataclass(frozen=True)
class RelaxationCase(Case):
    """A relaxation, and params for it."""

    subject: Relaxation

    @property
    def relaxation(self) -> Relaxation:
        """The subject, under the name that checks use."""
        return self.subject

    def siblings(self) -> Sequence[RelaxationCase]:
        others = type(self.subject).examples()
        return [RelaxationCase(r, device=self.device) for r in others if r != self.subject]

    @property
    def dtype(self) -> torch.dtype:
        """The longest claimed dtype that the device supports."""
        dtypes = [d for d in self.subject.capabilities.dtypes if self._has(d)]
        return max(dtypes, key=lambda d: torch.finfo(d).bits)

    @property
    def usual_dtype(self) -> torch.dtype:
        """float32, in which models are trained, if it is claimed; otherwise :attr:`dtype`."""
        return torch.float32 if torch.float32 in self.dtypes else self.dtype

    def _has(self, dtype: torch.dtype) -> bool:
        return not (self.device.type == "mps" and dtype == torch.float64)

    @property
    def dtypes(self) -> list[torch.dtype]:
        """The claimed dtypes that the device supports."""
        return [d for d in self.subject.capabilities.dtypes if self._has(d)]

    @property
    def tolerance(self) -> float:
        """Rounding error allowed in a mass or divergence of size one: at least of float32."""
        return 1e-9 if self.dtype == torch.float64 else 200 * torch.finfo(torch.float32).eps

    @property
    def stored_tolerance(self) -> float:
        """Rounding error allowed in a value of size one, which has the dtype of params."""
        return max(self.tolerance, 4 * torch.finfo(self.dtype).eps)

    def params(self, *batch: int, seed: int = 0, dtype: torch.dtype | None = None) -> Tensor:
        """Return normally distributed params ``[*batch, *param_shape]``."""
        shape = (*batch, *self.subject.param_shape)
        drawn = torch.randn(
            shape,
            generator=torch.Generator("cpu").manual_seed(seed),
            dtype=torch.float64,
            device="cpu",
        )
        return drawn.to(dtype or self.dtype).to(self.device)

    @cached_property
    def vertices(self) -> Tensor:
        """All values, ``[N, *event_shape]``.

        Raises:
            Unsupported: if there are too many values, or no method lists them.
        """
        if self._log_count() > math.log(MOST_VALUES):
            raise Unsupported(f"too many values to enumerate: exp({self._log_count():.1f})")
        try:
            return self.subject.enumerate_vertices().to(self.device, self.dtype)
        except NotImplementedError as error:
            raise Unsupported(
                "its values cannot be listed: implement enumerate_vertices()"
            ) from error

    @cached_property
    def constant(self) -> bool:
        """Whether there is only one value, so that no draw and no gradient shows anything."""
        try:
            return len(self.vertices) == 1
        except Exception:  # other checks report it
            return False

    def _log_count(self) -> float:
        try:
            return self.subject.log_cardinality
        except NotImplementedError:
            return 0.0  # unknown; examples of a class with enumerate_vertices should be small

    def masses(self, params: Tensor) -> Tensor:
        """Return the mass of every value, ``[N]``, for one set of params."""
        mass: Tensor = self.subject.discrete(params).log_prob(self.vertices.to(params.dtype)).exp()
        return mass


@dataclass(frozen=True)
class EstimatorCase(Case):
    """An estimator, and a relaxation on which to check it.

    Args:
        relaxation: relaxation of this case.
        others: relaxations of the other cases, which share the expected failures.
    """

    subject: Estimator
    relaxation: Relaxation
    others: tuple[Relaxation, ...] = field(default=(), kw_only=True)

    def siblings(self) -> Sequence[EstimatorCase]:
        return [EstimatorCase(self.subject, r, device=self.device) for r in self.others]

    def __str__(self) -> str:
        return f"{self.subject!r} on {self.relaxation!r}"

    @property
    def estimator(self) -> Estimator:
        """The subject, under the name that checks use."""
        return self.subject

    @cached_property
    def on(self) -> RelaxationCase:
        """The relaxation as a case, for its params and its values."""
        return RelaxationCase(self.relaxation, device=self.device)


def claims(*capabilities: str) -> Callable[[Any], str]:
    """Make a check apply only if all of these capabilities are claimed."""

    def absent(case: RelaxationCase | EstimatorCase) -> str:
        claimed = case.relaxation.capabilities
        missing = [name for name in capabilities if not getattr(claimed, name)]
        return f"{missing[0]} is not claimed" if missing else ""

    return absent


def denies(capability: str) -> Callable[[Any], str]:
    """Make a check apply only if this capability is not claimed."""

    def absent(case: RelaxationCase) -> str:
        claimed = getattr(case.relaxation.capabilities, capability)
        return f"{capability} is claimed" if claimed else ""

    return absent


def varies(*capabilities: str) -> Callable[[Any], str]:
    """Make a check apply only if these capabilities are claimed and there are several values."""

    def absent(case: RelaxationCase) -> str:
        if missing := claims(*capabilities)(case):
            return missing
        return "there is only one value" if case.constant else ""

    return absent


def countable(*capabilities: str) -> Callable[[Any], str]:
    """Make a check apply only if these capabilities are claimed and values can be enumerated."""

    def absent(case: RelaxationCase | EstimatorCase) -> str:
        relaxed = case.on if isinstance(case, EstimatorCase) else case
        if missing := claims(*capabilities)(relaxed):
            return missing
        try:
            return "" if len(relaxed.vertices) else "there are no values"
        except Unsupported as error:
            return str(error)

    return absent
