"""k-subsets for relaxit: structures, estimators, a task, recipes and benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit import hookimpl

if TYPE_CHECKING:
    from relaxit import Relaxation

__all__ = ["relaxit_relaxations"]


@hookimpl
def relaxit_relaxations() -> list[type[Relaxation]]:
    from relaxit_subset.plackett_luce import SubsetPlackettLuce
    from relaxit_subset.subset import Subset

    return [Subset, SubsetPlackettLuce]
