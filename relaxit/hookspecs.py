"""The hooks that a plugin may implement. Each only returns classes; none does work.

A plugin is a module named by an entry point of the group ``relaxit.plugins``::

    [project.entry-points."relaxit.plugins"]
    mine = "my_package.my_module"

with functions marked by :data:`hookimpl`. The module is imported when names are looked up, so keep
heavy imports inside the hooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import typer

    from relaxit.bench.benchmark import Benchmark
    from relaxit.data.dataset import Dataset
    from relaxit.estimators.base import Estimator
    from relaxit.gradients.problem import GradientProblem
    from relaxit.relaxation import Relaxation
    from relaxit.training.task import Task

__all__ = ["ENTRY_POINT_GROUP", "OWN_DISTRIBUTION", "hookimpl", "hookspec"]

ENTRY_POINT_GROUP = "relaxit.plugins"
OWN_DISTRIBUTION = "relaxit-framework"

hookspec = pluggy.HookspecMarker("relaxit")
hookimpl = pluggy.HookimplMarker("relaxit")


@hookspec
def relaxit_relaxations() -> Sequence[type[Relaxation]]:
    """Relaxation classes to register."""
    return ()


@hookspec
def relaxit_estimators() -> Sequence[type[Estimator]]:
    """Gradient estimator classes to register."""
    return ()


@hookspec
def relaxit_datasets() -> Sequence[type[Dataset]]:
    """Data set classes to register."""
    return ()


@hookspec
def relaxit_tasks() -> Sequence[type[Task]]:
    """Task classes to register."""
    return ()


@hookspec
def relaxit_recipes() -> Sequence[Path]:
    """TOML files, each a training recipe named after its stem."""
    return ()


@hookspec
def relaxit_benchmarks() -> Sequence[type[Benchmark]]:
    """Benchmark classes to register."""
    return ()


@hookspec
def relaxit_gradient_problems() -> Sequence[type[GradientProblem]]:
    """Gradient problem classes to register."""
    return ()


@hookspec
def relaxit_commands() -> Sequence[typer.Typer]:
    """Typer applications, each with a name: ``relaxit NAME`` runs it."""
    return ()
