"""Learning to sort numbers, as a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit_permutation.tasks.sorting_numbers.model import Scorer as Scorer
    from relaxit_permutation.tasks.sorting_numbers.task import SortingNumbers as SortingNumbers
    from relaxit_permutation.tasks.sorting_numbers.uniform_numbers import (
        UniformNumbers as UniformNumbers,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit_permutation.tasks.sorting_numbers.model": ["Scorer"],
        "relaxit_permutation.tasks.sorting_numbers.task": ["SortingNumbers"],
        "relaxit_permutation.tasks.sorting_numbers.uniform_numbers": ["UniformNumbers"],
    },
)
