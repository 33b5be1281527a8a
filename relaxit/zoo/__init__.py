"""The zoo: training recipes, which are data only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.zoo.catalogue import DEFAULT as DEFAULT
    from relaxit.zoo.catalogue import find_recipe as find_recipe
    from relaxit.zoo.catalogue import recipe_layers as recipe_layers
    from relaxit.zoo.catalogue import recipe_summary as recipe_summary
    from relaxit.zoo.catalogue import recipes as recipes

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.zoo.catalogue": [
            "DEFAULT",
            "find_recipe",
            "recipe_layers",
            "recipes",
            "recipe_summary",
        ],
    },
)
