"""The built-in plugin: categorical and binary variables.

It is loaded through an entry point, like every other plugin, and uses public names only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from relaxit.hooks import hookimpl

if TYPE_CHECKING:
    from relaxit import Relaxation
    from relaxit.bench import Benchmark
    from relaxit.gradients import GradientProblem

__all__ = [
    "relaxit_benchmarks",
    "relaxit_functions",
    "relaxit_gradient_problems",
    "relaxit_relaxations",
]


@hookimpl
def relaxit_relaxations() -> list[type[Relaxation]]:
    from relaxit.categorical.binary import Binary
    from relaxit.categorical.categorical import Categorical

    return [Categorical, Binary]


@hookimpl
def relaxit_functions() -> list[Callable[..., Any]]:
    from relaxit.categorical.functional import gumbel_softmax

    return [gumbel_softmax]


@hookimpl
def relaxit_benchmarks() -> list[type[Benchmark]]:
    from relaxit.categorical.benchmarks import sampling as s
    from relaxit.categorical.benchmarks.density import CategoricalDensity
    from relaxit.categorical.benchmarks.estimator_time import EstimatorTime
    from relaxit.categorical.benchmarks.function import GumbelSoftmaxFunction

    return [
        s.CategoricalSoft,
        s.CategoricalSample,
        s.CategoricalStraightThrough,
        s.CategoricalHard,
        CategoricalDensity,
        GumbelSoftmaxFunction,
        EstimatorTime,
    ]


@hookimpl
def relaxit_gradient_problems() -> list[type[GradientProblem]]:
    from relaxit.categorical.gradient_problems import PolynomialCost, Powers

    return [Powers, PolynomialCost]
