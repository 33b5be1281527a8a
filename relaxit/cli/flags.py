"""Build a configuration from flags: which flag sets which key, and how layers are merged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from relaxit.errors import ConfigurationError, OptionsError

if TYPE_CHECKING:
    from relaxit.options import Options
    from relaxit.training import RunConfig

__all__ = [
    "FLAGS",
    "OPTION_FLAGS",
    "build",
    "configure",
    "given",
    "key_values",
    "named_by_flag",
    "nest",
    "parse_options",
    "settings_of",
]

Settings = TypeVar("Settings", bound="Options")

FLAGS = {
    "task.name": "--task",
    "relaxation.name": "--relaxation",
    "relaxation.options": "-o",
    "estimator.name": "--estimator",
    "latents": "--latents",
    "temperature.schedule": "--schedule",
    "temperature.initial": "--temperature",
    "temperature.final": "--final-temperature",
    "temperature.rate": "--temperature-rate",
    "objective.kl": "--kl",
    "objective.prior_temperature": "--prior-temperature",
    "objective.kl_warmup": "--kl-warmup",
    "data.name": "--dataset",
    "data.dir": "--data-dir",
    "data.binarise": "--binarise",
    "data.validation": "--validation",
    "optimizer.method": "--optimizer",
    "optimizer.lr": "--lr",
    "optimizer.schedule": "--lr-schedule",
    "optimizer.weight_decay": "--weight-decay",
    "epochs": "--epochs",
    "batch_size": "--batch-size",
    "seed": "--seed",
    "device": "--device",
    "engine": "--engine",
    "precision": "--precision",
}

OPTION_FLAGS = {"relaxation": "-o", "estimator": "--estimator-option", "task": "--task-option"}
"""Flags of ``relaxit train`` that take options, by the kind of what the options belong to."""

_KINDS = {"task": "task", "relaxation": "relaxation", "estimator": "estimator", "data": "dataset"}
"""Tables of a configuration that name a plugin, each with its kind."""


def given(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a command by dotted key; None where a flag was not given.

    A parameter is named after its flag: ``--batch-size`` is ``batch_size``.
    """
    names = {key: flag.strip("-").replace("-", "_") for key, flag in FLAGS.items()}
    return {key: params[name] for key, name in names.items() if name in params}


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
    recipe: str | None,
    flat: Mapping[str, Any],
    options: Sequence[str] = (),
    estimator_options: Sequence[str] = (),
    task_options: Sequence[str] = (),
) -> RunConfig:
    """Return the configuration that a recipe and flags define together.

    Raises:
        ConfigurationError, UnknownName, PluginError: naming the key or flag that is wrong.
    """
    from relaxit import zoo
    from relaxit.plugins import default_registry
    from relaxit.training import TASK, combine, resolve

    layers = [_with_names(t) for t in (*zoo.recipe_layers(recipe or zoo.DEFAULT), nest(flat))]
    chosen = combine(layers)
    pairs = {"relaxation": options, "estimator": estimator_options, "task": task_options}
    chosen.setdefault("task", {"name": TASK})
    for kind, flag in OPTION_FLAGS.items():
        name = chosen.get(kind, {}).get("name")
        if pairs[kind] and isinstance(name, str):
            parsed = parse_options(default_registry().find(kind, name), pairs[kind], flag)
            layers.append({kind: {"name": name, "options": parsed}})
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
