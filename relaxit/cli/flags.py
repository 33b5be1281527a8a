"""Build a configuration from flags: which flag sets which key, and how layers are merged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from relaxit.cli.train_options import FLAGS, OPTION_FLAGS, OPTIONS
from relaxit.errors import ConfigurationError, OptionsError

if TYPE_CHECKING:
    from relaxit.training import RunConfig

__all__ = [
    "build",
    "configure",
    "given",
    "key_values",
    "named_by_flag",
    "nest",
    "parse_options",
]

_KINDS = {"task": "task", "relaxation": "relaxation", "estimator": "estimator", "data": "dataset"}
"""Tables of a configuration that name a plugin, each with its kind."""


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a command by dotted key; None where a flag was not given."""
    return {option.key: values[option.parameter] for option in OPTIONS if option.key}


def key_values(pairs: Sequence[str], flag: str) -> dict[str, str]:
    """Parse ``KEY=VALUE`` texts into a table.

    Raises:
        ConfigurationError: if a text has no ``=`` or no key.
    """
    table = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            hint = f"; write {flag} {key}=VALUE" if key else ""
            raise ConfigurationError(f"{flag} takes KEY=VALUE, got {pair!r}{hint}")
        table[key.strip()] = value.strip()
    return table


@contextlib.contextmanager
def named_by_flag(flags: Mapping[str, str]) -> Iterator[None]:
    """Name the flags in errors about options.

    Args:
        flags: flag that takes ``KEY=VALUE``, by the kind of what the options belong to.
    """
    try:
        yield
    except OptionsError as error:
        raise ConfigurationError(error.said(flags.get(error.kind, ""))) from error


def parse_options(cls: Any, pairs: Sequence[str], flag: str) -> dict[str, Any]:
    """Return the options that a flag gives to a registered class, by name.

    Raises:
        ConfigurationError: naming the flag and what is wrong.
    """
    with named_by_flag({cls.kind: flag}):
        parsed: dict[str, Any] = cls.parse(key_values(pairs, flag))
        return parsed


def build(cls: Any, pairs: Sequence[str], flag: str) -> Any:
    """Return an object of a registered class with the options that a flag gives.

    Raises:
        ConfigurationError: naming the flag and what is wrong.
    """
    with named_by_flag({cls.kind: flag}):
        return cls(**parse_options(cls, pairs, flag))


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Turn dotted keys into nested tables, without the keys whose value is None (not given).

    Example:
        >>> nest({"a.b": 1, "a.c": None, "d": 2})
        {'a': {'b': 1}, 'd': 2}
    """
    tree: dict[str, Any] = {}
    for dotted, value in flat.items():
        if value is None:
            continue
        *path, leaf = dotted.split(".")
        node = tree
        for key in path:
            node = node.setdefault(key, {})
        node[leaf] = value
    return tree


def configure(
    recipe: str | None, flat: Mapping[str, Any], options: Mapping[str, Sequence[str]]
) -> RunConfig:
    """Return the configuration that a recipe and flags define together.

    Args:
        recipe: recipe or file of a recipe; if absent, the default one, unless another task is
            named, which then has its own defaults.
        flat: values of flags by dotted key.
        options: ``KEY=VALUE`` texts by kind: relaxation, estimator, task and dataset.

    Raises:
        ConfigurationError, UnknownName, PluginError: naming the key or flag that is wrong.
    """
    from relaxit import zoo
    from relaxit.plugins import default_registry
    from relaxit.training import TASK, combine, resolve, with_defaults_of_task

    flags = _with_names(nest(flat))
    task = flags.get("task", {}).get("name", TASK)
    base = zoo.recipe_layers(recipe or zoo.DEFAULT) if recipe or task == TASK else []
    layers = [*map(_with_names, base), flags]
    chosen = combine(with_defaults_of_task(layers))
    for key, kind in _KINDS.items():
        name = chosen.get(key, {}).get("name", "digits" if key == "data" else None)
        if options.get(kind) and isinstance(name, str):
            parsed = parse_options(
                default_registry().find(kind, name), options[kind], OPTION_FLAGS[kind]
            )
            layers.append({key: {"name": name, "options": parsed}})
    return resolve(layers, FLAGS)


def _with_names(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Replace aliases by registered names: where another plugin is named, options are dropped."""
    from relaxit.plugins import default_registry

    named = dict(layer)
    for key, kind in _KINDS.items():
        table = layer.get(key)
        if isinstance(table, Mapping) and isinstance(table.get("name"), str):
            name = default_registry().registered(kind, table["name"])
            named[key] = {**table, "name": name}
    return named
