"""Permutations and matchings for relaxit: structures, tasks, recipes, benchmarks, sorting.

Beside the hooks, what is called directly: :func:`sort`, :func:`rank`, :func:`topk`,
:func:`soft_permutation` and :func:`hard_permutation` of :mod:`relaxit_permutation.ranking`. They
are imported when first used, so that looking up names does not load torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaxit import hookimpl

if TYPE_CHECKING:
    from relaxit import Relaxation, Task
    from relaxit.bench import Benchmark
    from relaxit.data.dataset import Dataset
    from relaxit_permutation.ranking import hard_permutation, rank, soft_permutation, sort, topk

_RANKING = ("hard_permutation", "rank", "soft_permutation", "sort", "topk")

__all__ = [
    "hard_permutation",
    "rank",
    "relaxit_benchmarks",
    "relaxit_datasets",
    "relaxit_recipes",
    "relaxit_relaxations",
    "relaxit_tasks",
    "soft_permutation",
    "sort",
    "topk",
]


def __getattr__(name: str) -> Any:
    if name in _RANKING:
        from relaxit_permutation import ranking

        return getattr(ranking, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@hookimpl
def relaxit_relaxations() -> list[type[Relaxation]]:
    from relaxit_permutation.matching import Matching
    from relaxit_permutation.permutation import Permutation
    from relaxit_permutation.permutation_plackett_luce import PermutationPlackettLuce

    return [Permutation, Matching, PermutationPlackettLuce]


@hookimpl
def relaxit_datasets() -> list[type[Dataset]]:
    from relaxit_permutation.uniform_numbers import Numbers

    return [Numbers]


@hookimpl
def relaxit_tasks() -> list[type[Task]]:
    from relaxit_permutation.jigsaw import Jigsaw
    from relaxit_permutation.sorting_numbers import SortingNumbers

    return [SortingNumbers, Jigsaw]


@hookimpl
def relaxit_benchmarks() -> list[type[Benchmark]]:
    from relaxit_permutation import benchmarks as b
    from relaxit_permutation import benchmarks_sorting as s

    return [b.SinkhornIterations, b.SinkhornConvergence, b.HardMatching, s.SoftSorting, s.SoftRanks]


@hookimpl
def relaxit_recipes() -> list[Path]:
    return sorted(Path(__file__).parent.glob("recipes/*.toml"))
