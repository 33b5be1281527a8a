"""Plugin hooks of relaxit-permutation: structures, data sets, tasks, recipes and benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from relaxit import hookimpl

if TYPE_CHECKING:
    from relaxit import Relaxation, Task
    from relaxit.bench import Benchmark
    from relaxit.data import Dataset

__all__ = [
    "relaxit_benchmarks",
    "relaxit_datasets",
    "relaxit_recipes",
    "relaxit_relaxations",
    "relaxit_tasks",
]


@hookimpl
def relaxit_relaxations() -> list[type[Relaxation]]:
    from relaxit_permutation.gumbel_sinkhorn.matching import Matching
    from relaxit_permutation.gumbel_sinkhorn.permutation import Permutation
    from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce

    return [Permutation, Matching, PermutationPlackettLuce]


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
