"""Recipes by name: the built-in ones, TOML files in ``recipes/``, and those of plugins.

Listing and showing recipes does not import torch; plugins are loaded only if any are installed.
"""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path
from typing import Any

from relaxit.errors import ConfigurationError, UnknownName
from relaxit.hooks import ENTRY_POINT_GROUP, is_own
from relaxit.training import read_recipe
from relaxit.zoo.hooks import relaxit_recipes

__all__ = ["DEFAULT", "find_recipe", "recipe_layers", "recipe_summary", "recipes"]

DEFAULT = "categorical-vae"


def recipes() -> dict[str, Path]:
    """Return all recipes by name: the built-in ones and those of installed plugins.

    Example:
        >>> {"categorical-vae", "tutorial-mnist"} <= set(recipes())
        True
    """
    points = metadata.entry_points(group=ENTRY_POINT_GROUP)
    alone = all(point.dist is not None and is_own(point.dist.name) for point in points)
    if alone or os.environ.get("RELAXIT_PLUGINS", "").strip() == "none":
        return {path.stem: path for path in relaxit_recipes()}
    from relaxit.plugins import default_registry

    return default_registry().items("recipe")


def find_recipe(name: str) -> Path:
    """Return the file of a recipe.

    Raises:
        UnknownName: if there is no such recipe, with the known and similar names.
    """
    known = recipes()
    if name not in known:
        raise UnknownName("recipe", name, known, "A recipe file ends in .toml, .yaml or .json.")
    return known[name]


def recipe_summary(path: Path) -> str:
    """Return the summary line of a recipe, or the error if it cannot be read."""
    try:
        return str(read_recipe(path).get("summary", ""))
    except ConfigurationError as error:
        return f"cannot be read: {error}"


def recipe_layers(recipe: str) -> list[dict[str, Any]]:
    """Return the layers of ``--recipe NAME|FILE``: a zoo recipe, or a file.

    A file stands alone, on the defaults of its task. It may extend a zoo recipe by its key
    ``base``.

    Raises:
        UnknownName: if there is no such recipe or base.
        ConfigurationError: if the file cannot be read.
    """
    path = Path(recipe)
    is_file = path.suffix.lower() in (".toml", ".yaml", ".yml", ".json")
    if not is_file:
        return [{"recipe": recipe, **read_recipe(find_recipe(recipe))}]
    if not path.is_file():
        raise ConfigurationError(f"recipe file {recipe} does not exist")
    table = {"recipe": path.stem, **read_recipe(path)}
    base = table.pop("base", None)
    return [*([] if base is None else [read_recipe(find_recipe(str(base)))]), table]
