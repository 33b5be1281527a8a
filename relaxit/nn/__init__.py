"""Layers: a relaxation inside anyone's model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.nn.codebook import Codebook as Codebook
    from relaxit.nn.gates import HardConcreteGates as HardConcreteGates
    from relaxit.nn.relax import Relax as Relax
    from relaxit.nn.router import Routing as Routing
    from relaxit.nn.router import TopKRouter as TopKRouter

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.nn.codebook": ["Codebook"],
        "relaxit.nn.gates": ["HardConcreteGates"],
        "relaxit.nn.relax": ["Relax"],
        "relaxit.nn.router": ["Routing", "TopKRouter"],
    },
)
