"""``relaxit list``: what there is to choose from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relaxit.cli.output import print_json, print_table
from relaxit.cli.plugin_option import PluginFiles

__all__ = ["list_all"]

_KINDS = ("relaxation", "estimator", "dataset", "task", "benchmark", "problem")


def list_all(
    plugin_files: PluginFiles = None,
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """List relaxations, estimators, data sets, tasks, benchmarks and gradient problems."""
    del plugin_files  # loaded by the option itself
    from relaxit.plugins import default_registry

    registry = default_registry()
    found: dict[str, list[dict[str, Any]]] = {}
    for kind in _KINDS:
        found[kind] = [
            {
                "name": name,
                "summary": cls.summary,
                "distribution": registry.provider(kind, name).distribution,
            }
            for name, cls in registry.items(kind).items()
        ]
    if json:
        print_json(found)
        return
    for kind, entries in found.items():
        rows = [[e["name"], e["summary"], e["distribution"]] for e in entries]
        print_table(f"{kind}s", ["name", "summary", "from"], rows)
