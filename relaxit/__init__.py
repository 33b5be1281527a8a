"""relaxit: differentiable relaxations of discrete structures, with exact laws beside them.

    >>> import torch, relaxit
    >>> q = relaxit.get("categorical", categories=10)(torch.zeros(32, 10), temperature=0.5)
    >>> q.rsample().shape
    torch.Size([32, 10])

Names are imported when first used, so that ``import relaxit`` does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relaxit import constraints as constraints
    from relaxit import noise as noise
    from relaxit.discrete import DiscreteLaw as DiscreteLaw
    from relaxit.errors import ConfigurationError as ConfigurationError
    from relaxit.errors import DomainError as DomainError
    from relaxit.errors import PluginError as PluginError
    from relaxit.errors import RelaxitError as RelaxitError
    from relaxit.errors import ShapeError as ShapeError
    from relaxit.errors import UnknownName as UnknownName
    from relaxit.errors import Unsupported as Unsupported
    from relaxit.estimators.base import DrawEstimator as DrawEstimator
    from relaxit.estimators.base import Estimator as Estimator
    from relaxit.estimators.base import SampleEstimator as SampleEstimator
    from relaxit.estimators.base import StatefulEstimator as StatefulEstimator
    from relaxit.hookspecs import hookimpl as hookimpl
    from relaxit.law import RelaxedDistribution as RelaxedDistribution
    from relaxit.layer import Relax as Relax
    from relaxit.options import Options as Options
    from relaxit.perturb import PerturbAndRelax as PerturbAndRelax
    from relaxit.registry import estimator as estimator
    from relaxit.registry import get as get
    from relaxit.registry import register as register
    from relaxit.registry import relaxations as relaxations
    from relaxit.registry import unregister as unregister
    from relaxit.relaxation import Capabilities as Capabilities
    from relaxit.relaxation import Relaxation as Relaxation
    from relaxit.training.task import Task as Task

_HOME = {
    "Capabilities": "relaxit.relaxation",
    "ConfigurationError": "relaxit.errors",
    "DiscreteLaw": "relaxit.discrete",
    "DomainError": "relaxit.errors",
    "DrawEstimator": "relaxit.estimators.base",
    "Estimator": "relaxit.estimators.base",
    "Options": "relaxit.options",
    "PerturbAndRelax": "relaxit.perturb",
    "PluginError": "relaxit.errors",
    "Relax": "relaxit.layer",
    "Relaxation": "relaxit.relaxation",
    "RelaxedDistribution": "relaxit.law",
    "RelaxitError": "relaxit.errors",
    "SampleEstimator": "relaxit.estimators.base",
    "ShapeError": "relaxit.errors",
    "StatefulEstimator": "relaxit.estimators.base",
    "Task": "relaxit.training.task",
    "UnknownName": "relaxit.errors",
    "Unsupported": "relaxit.errors",
    "estimator": "relaxit.registry",
    "get": "relaxit.registry",
    "hookimpl": "relaxit.hookspecs",
    "register": "relaxit.registry",
    "relaxations": "relaxit.registry",
    "unregister": "relaxit.registry",
}

_MODULES = ("constraints", "noise")

__all__ = [*_HOME, *_MODULES, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"relaxit.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("relaxit-framework")
    raise AttributeError(f"module 'relaxit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
