"""Feature selection as a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit_subset.tasks.feature_selection.figures import COLOUR as COLOUR
    from relaxit_subset.tasks.feature_selection.figures import mean_image as mean_image
    from relaxit_subset.tasks.feature_selection.figures import overlay as overlay
    from relaxit_subset.tasks.feature_selection.model import perceptron as perceptron
    from relaxit_subset.tasks.feature_selection.task import FeatureSelection as FeatureSelection
    from relaxit_subset.tasks.feature_selection.task import selection as selection

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit_subset.tasks.feature_selection.figures": ["COLOUR", "mean_image", "overlay"],
        "relaxit_subset.tasks.feature_selection.model": ["perceptron"],
        "relaxit_subset.tasks.feature_selection.task": ["FeatureSelection", "selection"],
    },
)
