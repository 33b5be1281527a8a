"""relaxit: differentiable relaxations of discrete structures and their exact distributions.

    >>> import torch, relaxit
    >>> q = relaxit.get("categorical", categories=10)(torch.zeros(32, 10), temperature=0.5)
    >>> q.rsample().shape
    torch.Size([32, 10])

Names are imported on first use, so that ``import relaxit`` does not load torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit import constraints as constraints
    from relaxit import functional as functional
    from relaxit import losses as losses
    from relaxit import nn as nn
    from relaxit import noise as noise
    from relaxit.api import Run as Run
    from relaxit.api import fit as fit
    from relaxit.api import load_run as load_run
    from relaxit.api import train as train
    from relaxit.capabilities import Capabilities as Capabilities
    from relaxit.categorical import gumbel_softmax as gumbel_softmax
    from relaxit.discrete import DiscreteDistribution as DiscreteDistribution
    from relaxit.distribution import RelaxedDistribution as RelaxedDistribution
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
    from relaxit.hooks import hookimpl as hookimpl
    from relaxit.nn import Relax as Relax
    from relaxit.options import Options as Options
    from relaxit.perturb import PerturbAndRelax as PerturbAndRelax
    from relaxit.plugins.registry import estimator as estimator
    from relaxit.plugins.registry import get as get
    from relaxit.plugins.registry import register as register
    from relaxit.plugins.registry import relaxations as relaxations
    from relaxit.plugins.registry import unregister as unregister
    from relaxit.relaxation import Relaxation as Relaxation
    from relaxit.sum_product import SumProduct as SumProduct
    from relaxit.training.supervised import Supervised as Supervised
    from relaxit.training.task import Task as Task

    Bernoulli: Any
    Categorical: Any

_lazy, _, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.constraints": ["constraints"],
        "relaxit.functional": ["functional"],
        "relaxit.losses": ["losses"],
        "relaxit.nn": ["nn", "Relax"],
        "relaxit.noise": ["noise"],
        "relaxit.api": ["Run", "fit", "load_run", "train"],
        "relaxit.capabilities": ["Capabilities"],
        "relaxit.categorical": ["gumbel_softmax"],
        "relaxit.discrete": ["DiscreteDistribution"],
        "relaxit.distribution": ["RelaxedDistribution"],
        "relaxit.errors": [
            "ConfigurationError",
            "DomainError",
            "PluginError",
            "RelaxitError",
            "ShapeError",
            "UnknownName",
            "Unsupported",
        ],
        "relaxit.estimators.base": [
            "DrawEstimator",
            "Estimator",
            "SampleEstimator",
            "StatefulEstimator",
        ],
        "relaxit.hooks": ["hookimpl"],
        "relaxit.options": ["Options"],
        "relaxit.perturb": ["PerturbAndRelax"],
        "relaxit.plugins.registry": ["estimator", "get", "register", "relaxations", "unregister"],
        "relaxit.relaxation": ["Relaxation"],
        "relaxit.sum_product": ["SumProduct"],
        "relaxit.training.supervised": ["Supervised"],
        "relaxit.training.task": ["Task"],
    },
)
_forwarded = frozenset(__all__)
__all__ += ["Bernoulli", "Categorical", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        from relaxit.hooks import OWN_DISTRIBUTION

        return version(OWN_DISTRIBUTION)
    if name[:1].isupper() and name not in _forwarded:
        from relaxit.constructors import attribute

        return attribute(name)
    value = _lazy(name)
    globals()[name] = value  # the next look-up is that of any attribute
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
