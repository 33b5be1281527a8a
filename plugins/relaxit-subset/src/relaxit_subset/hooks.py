"""Plugin hooks of relaxit-subset: structures, estimators, functions, tasks and so on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaxit import hookimpl

if TYPE_CHECKING:
    from relaxit import Estimator, Relaxation, Task
    from relaxit.bench import Benchmark
    from relaxit.data import Dataset
    from relaxit.gradients import GradientProblem

__all__ = [
    "relaxit_benchmarks",
    "relaxit_datasets",
    "relaxit_estimators",
    "relaxit_functions",
    "relaxit_gradient_problems",
    "relaxit_recipes",
    "relaxit_relaxations",
    "relaxit_tasks",
]


@hookimpl
def relaxit_relaxations() -> list[type[Relaxation]]:
    from relaxit_subset.conditional_poisson.subset import Subset
    from relaxit_subset.plackett_luce.subset_plackett_luce import SubsetPlackettLuce

    return [Subset, SubsetPlackettLuce]


@hookimpl
def relaxit_estimators() -> list[type[Estimator]]:
    from relaxit_subset.estimators.imle import Imle
    from relaxit_subset.estimators.simple import Simple

    return [Simple, Imle]


@hookimpl
def relaxit_functions() -> list[Callable[..., Any]]:
    from relaxit_subset.relaxed.functions import sample_subset, soft_topk

    return [sample_subset, soft_topk]


@hookimpl
def relaxit_tasks() -> list[type[Task]]:
    from relaxit_subset.tasks.feature_selection.task import FeatureSelection
    from relaxit_subset.tasks.router.task import Router

    return [FeatureSelection, Router]


@hookimpl
def relaxit_datasets() -> list[type[Dataset]]:
    from relaxit_subset.tasks.router.mixture_of_functions import MixtureOfFunctions

    return [MixtureOfFunctions]


@hookimpl
def relaxit_benchmarks() -> list[type[Benchmark]]:
    from relaxit_subset.benchmarks import subsets as b

    return [b.SubsetMarginals, b.SubsetSlopes, b.SubsetDraw, b.SubsetRelaxed]


@hookimpl
def relaxit_gradient_problems() -> list[type[GradientProblem]]:
    from relaxit_subset.benchmarks.gradient_problems import SubsetStudy

    return [SubsetStudy]


@hookimpl
def relaxit_recipes() -> list[Path]:
    return sorted(Path(__file__).parent.glob("recipes/*.toml"))
