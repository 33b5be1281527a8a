"""``relaxit plugins``: every installed plugin, what it provides and what is wrong with it."""

from __future__ import annotations

from typing import Annotated

import typer

from relaxit.cli.output import print_json, print_table

__all__ = ["plugins"]


def plugins(
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """List plugins, broken ones with their cause. Loading a plugin runs its code."""
    from relaxit.registry import default

    found = [
        {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "state": plugin.state,
            "target": plugin.target,
            "provides": plugin.provides,
            "problems": plugin.problems,
        }
        for plugin in default().plugins
    ]
    if json:
        print_json(found)
        return
    rows = []
    for plugin in default().plugins:
        names = [name for group in plugin.provides.values() for name in group]
        remark = "; ".join(plugin.problems) or ", ".join(names)
        source = f"{plugin.distribution} {plugin.version}".strip()
        rows.append([plugin.name, source, plugin.state, remark])
    print_table("plugins", ["name", "from", "state", "provides / problem"], rows)
