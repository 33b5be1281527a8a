"""Settings of earlier versions, in today's form: recipes, studies and configurations of runs.

Until version 0.1 the settings of the autoencoder were those of every run: ``objective`` (its KL
term), ``model`` (its networks) and ``data.binarise``. They are options of task and data set now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["upgrade", "upgrade_saved"]

_MOVED = ("objective", "model")


def upgrade(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a recipe with all of today's names.

    Args:
        table: settings, complete or not, also those of ``when`` tables.

    Example:
        >>> upgrade({"objective": {"kl_warmup": 0.1}, "data": {"binarise": "none"}})
        {'data': {'options': {'binarise': 'none'}}, 'task': {'options': {'kl_warmup': 0.1}}}
    """
    new = {key: value for key, value in table.items() if key not in _MOVED}
    options: dict[str, Any] = {}
    for key in _MOVED:
        if isinstance(table.get(key), Mapping):
            options |= table[key]
        elif key in table:
            new[key] = table[key]  # not a table: validation says so
    data = table.get("data")
    if isinstance(data, Mapping) and "binarise" in data:
        kept = {key: value for key, value in data.items() if key != "binarise"}
        new["data"] = _with_options(kept, {"binarise": data["binarise"]})
    if options:
        new["task"] = _with_options(table.get("task", {}), options)
    if isinstance(when := table.get("when"), Mapping):
        new["when"] = {
            name: upgrade(special) if isinstance(special, Mapping) else special
            for name, special in when.items()
        }
    return new


def upgrade_saved(
    table: Mapping[str, Any], task_options: Collection[str], data_options: Collection[str]
) -> dict[str, Any]:
    """Return the complete configuration of a run with all of today's names.

    It lists all settings, also those that its task did not use: these are left out.

    Args:
        table: the configuration.
        task_options, data_options: names of the options that its task and its data set have.
    """
    new = upgrade(table)
    for key, known in (("task", task_options), ("data", data_options)):
        if isinstance(section := new.get(key), Mapping):
            options = section.get("options", {})
            kept = {name: value for name, value in options.items() if name in known}
            new[key] = {**section, "options": kept}
    return new


def _with_options(table: Any, options: Mapping[str, Any]) -> Any:
    if not isinstance(table, Mapping):
        return table
    return {**table, "options": {**options, **table.get("options", {})}}
