"""Permutations and matchings for relaxit: structures, sorting, tasks.

Once the package is installed beside relaxit, its structures are found by name. The functions to
call directly are :func:`sort`, :func:`rank`, :func:`topk`, :func:`soft_permutation`,
:func:`hard_permutation` and :func:`residual`; Sinkhorn's operator is
:func:`relaxit_permutation.sinkhorn.sinkhorn`. Names are imported on first use, so that looking them
up does not load PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit_permutation.gumbel_sinkhorn.matching import Matching as Matching
    from relaxit_permutation.gumbel_sinkhorn.partial_matching import (
        PartialMatching as PartialMatching,
    )
    from relaxit_permutation.gumbel_sinkhorn.permutation import Permutation as Permutation
    from relaxit_permutation.plackett_luce.distribution import PlackettLuce as PlackettLuce
    from relaxit_permutation.plackett_luce.permutation_plackett_luce import (
        PermutationPlackettLuce as PermutationPlackettLuce,
    )
    from relaxit_permutation.sinkhorn.operator import residual as residual
    from relaxit_permutation.sinkhorn.scaling import SinkhornWarning as SinkhornWarning
    from relaxit_permutation.sorting.ranking import TopK as TopK
    from relaxit_permutation.sorting.ranking import hard_permutation as hard_permutation
    from relaxit_permutation.sorting.ranking import rank as rank
    from relaxit_permutation.sorting.ranking import soft_permutation as soft_permutation
    from relaxit_permutation.sorting.ranking import sort as sort
    from relaxit_permutation.sorting.ranking import topk as topk
    from relaxit_permutation.tasks.jigsaw.task import Jigsaw as Jigsaw
    from relaxit_permutation.tasks.sorting_numbers.task import SortingNumbers as SortingNumbers
    from relaxit_permutation.tasks.sorting_numbers.uniform_numbers import (
        UniformNumbers as UniformNumbers,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit_permutation.gumbel_sinkhorn.matching": ["Matching"],
        "relaxit_permutation.gumbel_sinkhorn.partial_matching": ["PartialMatching"],
        "relaxit_permutation.gumbel_sinkhorn.permutation": ["Permutation"],
        "relaxit_permutation.plackett_luce.distribution": ["PlackettLuce"],
        "relaxit_permutation.plackett_luce.permutation_plackett_luce": ["PermutationPlackettLuce"],
        "relaxit_permutation.sinkhorn.operator": ["residual"],
        "relaxit_permutation.sinkhorn.scaling": ["SinkhornWarning"],
        "relaxit_permutation.sorting.ranking": [
            "TopK",
            "hard_permutation",
            "rank",
            "soft_permutation",
            "sort",
            "topk",
        ],
        "relaxit_permutation.tasks.jigsaw.task": ["Jigsaw"],
        "relaxit_permutation.tasks.sorting_numbers.task": ["SortingNumbers"],
        "relaxit_permutation.tasks.sorting_numbers.uniform_numbers": ["UniformNumbers"],
    },
)
