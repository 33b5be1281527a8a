"""A mixture of experts as a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit_subset.tasks.router.mixture_of_functions import (
        MixtureOfFunctions as MixtureOfFunctions,
    )
    from relaxit_subset.tasks.router.model import MixtureOfExperts as MixtureOfExperts
    from relaxit_subset.tasks.router.model import softmax_weights as softmax_weights
    from relaxit_subset.tasks.router.task import Router as Router
    from relaxit_subset.tasks.router.task import agreement as agreement
    from relaxit_subset.tasks.router.task import imbalance as imbalance

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit_subset.tasks.router.mixture_of_functions": ["MixtureOfFunctions"],
        "relaxit_subset.tasks.router.model": ["MixtureOfExperts", "softmax_weights"],
        "relaxit_subset.tasks.router.task": ["Router", "agreement", "imbalance"],
    },
)
