"""The zoo: training recipes, data only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.zoo.catalogue import DEFAULT as DEFAULT
    from relaxit.zoo.catalogue import find as find
    from relaxit.zoo.catalogue import layers as layers
    from relaxit.zoo.catalogue import recipes as recipes
    from relaxit.zoo.catalogue import summary as summary

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.zoo.catalogue": ["DEFAULT", "find", "layers", "recipes", "summary"],
    },
)
