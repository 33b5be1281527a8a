"""Code shared by several estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.estimators.common.perturbed_scores import NOISES as NOISES
    from relaxit.estimators.common.perturbed_scores import noise_of as noise_of
    from relaxit.estimators.common.perturbed_scores import solver as solver

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.estimators.common.perturbed_scores": ["NOISES", "noise_of", "solver"],
    },
)
