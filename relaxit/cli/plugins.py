"""``relaxit plugins``: every installed plugin, what it provides and what is wrong with it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from relaxit.cli.output import print_json
from relaxit.cli.plugin_option import PluginFiles
from relaxit.cli.tables import print_table
from relaxit.errors import ConfigurationError

if TYPE_CHECKING:
    from relaxit.plugins import PluginRecord

__all__ = ["plugins"]

_NOT_LOADED = "not loaded"


def plugins(
    plugin_files: PluginFiles = None,
    load: Annotated[
        bool,
        typer.Option("--load/--no-load", help="Load the plugins; otherwise only list their names."),
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")] = False,
) -> None:
    """List plugins, and what is wrong with broken ones. Loading a plugin runs its code."""
    if plugin_files and not load:
        raise ConfigurationError("--plugin FILE loads a plugin; omit --no-load")
    records = _loaded() if load else _discovered()
    listing = [
        {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "state": plugin.state if load or plugin.disabled else _NOT_LOADED,
            "target": plugin.target,
            "provides": plugin.provides,
            "problems": plugin.problems,
            "remarks": plugin.remarks,
            "sha256": plugin.sha256,
        }
        for plugin in records
    ]
    if json:
        print_json(listing)
        return
    rows = []
    for plugin, entry in zip(records, listing, strict=True):
        # A task and its recipe may have the same name.
        names = dict.fromkeys(name for group in plugin.provides.values() for name in group)
        facts = [*(plugin.problems or [", ".join(names)]), *plugin.remarks]
        shown = "; ".join(filter(None, facts)) if load else plugin.target
        rows.append([plugin.name, plugin.source, str(entry["state"]), shown])
    content = "provides / problem / remark" if load else "module"
    print_table("plugins", ["name", "from", "state", content], rows)


def _loaded() -> list[PluginRecord]:
    from relaxit.plugins import default_registry

    return default_registry().plugins


def _discovered() -> list[PluginRecord]:
    """Return the records of installed plugins without running any of their code."""
    from relaxit.plugins import discover

    return [record for record, _ in discover(None, os.environ)]
