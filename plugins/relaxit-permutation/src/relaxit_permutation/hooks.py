"""Plugin hooks of relaxit-permutation: structures, functions, data, tasks, recipes, benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaxit import hookimpl

if TYPE_CHECKING:
    from relaxit import Relaxation, Task
    from relaxit.bench import Benchmark
    from relaxit.data import Dataset

__all__ = [
    "relaxit_benchmarks",
    "relaxit_datasets",
    "relaxit_functions",
    "relaxit_recipes",
    "relaxit_relaxations",
    "relaxit_tasks",
]


@hookimpl
def relaxit_relaxations() -> list[type[Relaxation]]:
    from relaxit_permutation.gumbel_sinkhorn.matching import Matching
    from relaxit_permutation.gumbel_sinkhorn.partial_matching import PartialMatching
    from relaxit_permutation.gumbel_sinkhorn.permutation import Permutation
    from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce

    return [Permutation, Matching, PartialMatching, PermutationPlackettLuce]


@hookimpl
def relaxit_functions() -> list[Callable[..., Any]]:
    from relaxit_permutation.sinkhorn.operator import sinkhorn
    from relaxit_permutation.sorting import ranking as r

    return [r.sort, r.rank, r.topk, r.soft_permutation, r.hard_permutation, sinkhorn]


@hookimpl
def relaxit_datasets() -> list[type[Dataset]]:
    from relaxit_permutation.tasks.sorting_numbers.uniform_numbers import UniformNumbers

    return [UniformNumbers]


@hookimpl
def relaxit_tasks() -> list[type[Task]]:
    from relaxit_permutation.tasks.jigsaw.task import Jigsaw
    from relaxit_permutation.tasks.sorting_numbers.task import SortingNumbers

    return [SortingNumbers, Jigsaw]


@hookimpl
def relaxit_benchmarks() -> list[type[Benchmark]]:
    from relaxit_permutation.benchmarks import matrices as b
    from relaxit_permutation.benchmarks import sorting as s

    return [b.SinkhornIterations, b.SinkhornConvergence, b.HardMatching, s.SoftSorting, s.SoftRanks]


@hookimpl
def relaxit_recipes() -> list[Path]:
    return sorted(Path(__file__).parent.glob("recipes/*.toml"))
