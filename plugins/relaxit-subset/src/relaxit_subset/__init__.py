"""k-subsets for relaxit: structures, estimators, functions and a task.

Once the package is installed beside relaxit, they are found by name. Names are imported on first
use, so that looking them up does not load PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit_subset.conditional_poisson.distribution import (
        ConditionalPoisson as ConditionalPoisson,
    )
    from relaxit_subset.conditional_poisson.subset import Subset as Subset
    from relaxit_subset.estimators.imle import Imle as Imle
    from relaxit_subset.estimators.simple import Simple as Simple
    from relaxit_subset.plackett_luce.subset_plackett_luce import (
        SubsetPlackettLuce as SubsetPlackettLuce,
    )
    from relaxit_subset.relaxed.functions import sample_subset as sample_subset
    from relaxit_subset.relaxed.functions import soft_topk as soft_topk
    from relaxit_subset.tasks.feature_selection.task import FeatureSelection as FeatureSelection

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit_subset.conditional_poisson.distribution": ["ConditionalPoisson"],
        "relaxit_subset.conditional_poisson.subset": ["Subset"],
        "relaxit_subset.estimators.imle": ["Imle"],
        "relaxit_subset.estimators.simple": ["Simple"],
        "relaxit_subset.plackett_luce.subset_plackett_luce": ["SubsetPlackettLuce"],
        "relaxit_subset.relaxed.functions": ["sample_subset", "soft_topk"],
        "relaxit_subset.tasks.feature_selection.task": ["FeatureSelection"],
    },
)
