"""Code shared by several estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.estimators.common.costs import checked as checked
    from relaxit.estimators.common.perturbed_scores import NOISES as NOISES
    from relaxit.estimators.common.perturbed_scores import noise_of as noise_of
    from relaxit.estimators.common.perturbed_scores import solver as solver
    from relaxit.estimators.common.score_function import add_gradient as add_gradient
    from relaxit.estimators.common.score_function import total_log_prob as total_log_prob

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.estimators.common.costs": ["checked"],
        "relaxit.estimators.common.perturbed_scores": ["NOISES", "noise_of", "solver"],
        "relaxit.estimators.common.score_function": ["add_gradient", "total_log_prob"],
    },
)
