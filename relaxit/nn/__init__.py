"""Layers: a relaxation inside anyone's model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.nn.relax import Relax as Relax

__getattr__, __dir__, __all__ = lazy_exports(__name__, {"relaxit.nn.relax": ["Relax"]})
