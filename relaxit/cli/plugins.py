"""``relaxit plugins``: every installed plugin, what it provides and what is wrong with it."""

from __future__ import annotations

from typing import Annotated

import typer

from relaxit.cli.output import print_json, print_table
from relaxit.cli.plugin_option import PluginFiles

__all__ = ["plugins"]


def plugins(
    plugin_files: PluginFiles = None,
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """List plugins, broken ones with their cause. Loading a plugin runs its code."""
    del plugin_files  # loaded by the option itself
    from relaxit.plugins import default_registry

    found = [
        {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "state": plugin.state,
            "target": plugin.target,
            "provides": plugin.provides,
            "problems": plugin.problems,
            "remarks": plugin.remarks,
            "sha256": plugin.sha256,
        }
        for plugin in default_registry().plugins
    ]
    if json:
        print_json(found)
        return
    rows = []
    for plugin in default_registry().plugins:
        names = [name for group in plugin.provides.values() for name in group]
        facts = [*(plugin.problems or [", ".join(names)]), *plugin.remarks]
        rows.append([plugin.name, plugin.source, plugin.state, "; ".join(filter(None, facts))])
    print_table("plugins", ["name", "from", "state", "provides / problem / remark"], rows)
