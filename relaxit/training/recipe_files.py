"""Recipe files, and the configuration of a saved run: data only, in today's form.

This module does not import torch.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relaxit.errors import ConfigurationError, one_line
from relaxit.training.config import TASK
from relaxit.training.earlier_versions import upgrade_saved

__all__ = ["read_recipe", "read_saved"]

_LARGEST_FILE = 1 << 20


def read_recipe(path: Path) -> dict[str, Any]:
    """Read a recipe file: TOML, YAML or JSON, or the ``config.json`` of a run.

    Raises:
        ConfigurationError: if it cannot be read, is larger than 1 MiB, or holds anything but data.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigurationError(f"recipe {path}: must not be larger than 1 MiB")
        table = _parse(path.suffix.lower(), path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"recipe {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"recipe {path}: {one_line(error)}") from error
    if not isinstance(table, dict) or not all(isinstance(key, str) for key in table):
        raise ConfigurationError(f"recipe {path}: expected a table of settings")
    if not isinstance(table.get("config"), dict):
        return table
    try:
        return read_saved(table)
    except (KeyError, TypeError) as error:
        raise ConfigurationError(f"recipe {path}: damaged: {error!r}") from error


def read_saved(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration in the content of a ``config.json``, in today's form.

    Raises:
        UnknownName: if the file is of an earlier version, and its task or data set is not
            registered.
        KeyError, TypeError: if the file is damaged.
    """
    config: dict[str, Any] = saved["config"]
    if saved["format"] != 1:
        return config
    from relaxit.plugins import default_registry

    registry, task = default_registry(), config.get("task", {"name": TASK})
    return upgrade_saved(
        config,
        registry.find("task", task["name"]).Options.model_fields,
        registry.find("dataset", config["data"]["name"]).Options.model_fields,
    )


def _parse(suffix: str, text: str) -> Any:
    if suffix == ".toml":
        return tomllib.loads(text)
    if suffix == ".json":
        return json.loads(text)
    if suffix in (".yaml", ".yml"):
        return _parse_yaml(text)
    raise ConfigurationError(f"a recipe file must end in .toml, .yaml or .json, not {suffix!r}")


def _parse_yaml(text: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            # Nested aliases can expand a small file enormously.
            if self.check_event(yaml.AliasEvent):
                raise ValueError("YAML aliases are not allowed in a recipe")
            return super().compose_node(parent, index)

    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
