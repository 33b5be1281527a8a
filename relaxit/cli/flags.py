"""Build a configuration from flags: which flag sets which key, and how layers are merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from relaxit.errors import ConfigurationError

if TYPE_CHECKING:
    from relaxit.training import RunConfig

__all__ = ["FLAGS", "configure", "given", "key_values", "nest"]

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
        if not equals or not key:
            raise ConfigurationError(f"{flag} takes KEY=VALUE, got {pair!r}")
        table[key.strip()] = value.strip()
    return table


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
    texts = {
        "relaxation": key_values(options, "-o"),
        "estimator": key_values(estimator_options, "--estimator-option"),
        "task": key_values(task_options, "--task-option"),
    }
    chosen.setdefault("task", {"name": TASK})
    for kind, pairs in texts.items():
        name = chosen.get(kind, {}).get("name")
        if pairs and isinstance(name, str):
            parsed = default_registry().find(kind, name).Options.parse(pairs)
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
