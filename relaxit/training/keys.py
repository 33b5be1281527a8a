"""Which key of a configuration a word of the command line sets: ``lr`` sets ``optimizer.lr``.

``relaxit train --lr 1e-3`` and ``relaxit.train(lr=1e-3)`` use the same words. This module imports
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["KEYS", "WORDS", "nest"]

KEYS = {
    "relaxation": "relaxation.name",
    "estimator": "estimator.name",
    "task": "task.name",
    "dataset": "data.name",
    "latents": "latents",
    "temperature": "temperature.initial",
    "schedule": "temperature.schedule",
    "final_temperature": "temperature.final",
    "temperature_rate": "temperature.rate",
    "kl": "task.options.kl",
    "prior_temperature": "task.options.prior_temperature",
    "kl_warmup": "task.options.kl_warmup",
    "binarise": "data.options.binarise",
    "data_dir": "data.dir",
    "validation": "data.validation",
    "epochs": "epochs",
    "batch_size": "batch_size",
    "optimizer": "optimizer.method",
    "lr": "optimizer.lr",
    "lr_schedule": "optimizer.schedule",
    "lr_warmup": "optimizer.warmup",
    "weight_decay": "optimizer.weight_decay",
    "seed": "seed",
    "device": "device",
    "engine": "engine",
    "precision": "precision",
}
"""Dotted key by the name of the parameter."""

WORDS = {key: word for word, key in KEYS.items() if word != key}
"""Name of the parameter by dotted key, where they differ."""


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
