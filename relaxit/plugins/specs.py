"""The hooks that a plugin may implement. They only return objects to register.

A plugin is a module named by an entry point of the group ``relaxit.plugins``::

    [project.entry-points."relaxit.plugins"]
    mine = "my_package.my_module"

with functions marked by :data:`relaxit.hookimpl`. The module is imported when names are looked up,
so keep heavy imports inside the hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import typer

    from relaxit.bench import Benchmark
    from relaxit.data import Dataset
    from relaxit.estimators import Estimator
    from relaxit.gradients import GradientProblem
    from relaxit.relaxation import Relaxation
    from relaxit.training import Task

__all__ = [
    "relaxit_benchmarks",
    "relaxit_commands",
    "relaxit_datasets",
    "relaxit_estimators",
    "relaxit_functions",
    "relaxit_gradient_problems",
    "relaxit_recipes",
    "relaxit_relaxations",
    "relaxit_tasks",
]

hookspec = pluggy.HookspecMarker("relaxit")


@hookspec
def relaxit_relaxations() -> Sequence[type[Relaxation]]:
    """Return the relaxation classes to register."""
    return ()


@hookspec
def relaxit_estimators() -> Sequence[type[Estimator]]:
    """Return the gradient estimator classes to register."""
    return ()


@hookspec
def relaxit_functions() -> Sequence[Callable[..., Any]]:
    """Return the functions to register, each under its own name in ``relaxit.functional``."""
    return ()


@hookspec
def relaxit_datasets() -> Sequence[type[Dataset]]:
    """Return the data set classes to register."""
    return ()


@hookspec
def relaxit_tasks() -> Sequence[type[Task]]:
    """Return the task classes to register."""
    return ()


@hookspec
def relaxit_recipes() -> Sequence[Path]:
    """Return the TOML files to register, each a training recipe named after its stem."""
    return ()


@hookspec
def relaxit_benchmarks() -> Sequence[type[Benchmark]]:
    """Return the benchmark classes to register."""
    return ()


@hookspec
def relaxit_gradient_problems() -> Sequence[type[GradientProblem]]:
    """Return the gradient problem classes to register."""
    return ()


@hookspec
def relaxit_commands() -> Sequence[typer.Typer]:
    """Return Typer applications, each with a name: ``relaxit NAME`` runs it."""
    return ()
