"""Build a configuration from flags: which flag sets which key, and how layers are merged."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from relaxit.cli.train_options import FLAGS, OPTION_FLAGS, OPTIONS
from relaxit.errors import ConfigurationError, OptionsError

if TYPE_CHECKING:
    from relaxit.options import Options
    from relaxit.training import RunConfig

__all__ = [
    "build",
    "configure",
    "given",
    "key_values",
    "named_by_flag",
    "parse_options",
    "settings",
    "settings_of",
]

Settings = TypeVar("Settings", bound="Options")

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


def settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Return the tables that ``--set KEY=VALUE`` texts describe; a value is written as in TOML.

    Raises:
        ConfigurationError: if a text has no ``=`` or no key, or a key is given twice.

    Example:
        >>> settings(["optimizer.lr=1e-3", "data.name=digits"])
        {'optimizer': {'lr': 0.001}, 'data': {'name': 'digits'}}
    """
    from relaxit.training import merge, nest

    tables: dict[str, Any] = {}
    for key, text in key_values(pairs, "--set").items():
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text  # a word without quotes
        tables = merge(tables, nest({key: value}))
    return tables


def configure(
    recipe: str | None,
    flat: Mapping[str, Any],
    options: Mapping[str, Sequence[str]],
    further: Mapping[str, Any] = {},
) -> RunConfig:
    """Return the configuration that a recipe and flags define together.

    Args:
        recipe: recipe or file of a recipe; if absent, the default one, unless another task is
            named, which then has its own defaults.
        flat: values of flags by dotted key.
        options: ``KEY=VALUE`` texts by kind: relaxation, estimator, task and dataset.
        further: settings by any other key, see :func:`settings`.

    Raises:
        ConfigurationError, UnknownName, PluginError: naming the key or flag that is wrong.
    """
    from relaxit import zoo
    from relaxit.plugins import default_registry
    from relaxit.training import (
        combine,
        is_default_task,
        merge,
        nest,
        resolve,
        with_defaults_of_task,
    )

    flags = _with_names(merge(further, nest(flat)))
    named = recipe or (zoo.DEFAULT if is_default_task(flags) else None)
    base = zoo.recipe_layers(named) if named else []
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


def settings_of(cls: type[Settings], named: Mapping[str, str] = {}, **values: Any) -> Settings:
    """Return the settings of a run.

    Args:
        cls: model of the settings.
        named: flags of the fields that are not named after theirs.
        values: values of the flags by field.

    Raises:
        ConfigurationError: naming the flag with an invalid value.
    """
    from pydantic import ValidationError

    from relaxit.validation import validation_summary

    def flag(path: str) -> str:
        name = path.partition("[")[0]
        return named.get(name, f"--{name.replace('_', '-')}")

    try:
        return cls(**values)
    except ValidationError as error:
        raise ConfigurationError(validation_summary(error, flag)) from error
