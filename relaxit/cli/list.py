"""``relaxit list``: everything that is registered by name."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relaxit.cli.document_cache import cached_document
from relaxit.cli.output import print_json
from relaxit.cli.plugin_option import PluginFiles
from relaxit.cli.tables import print_table

__all__ = ["list_all"]

_KINDS = ("relaxation", "estimator", "dataset", "task", "benchmark", "problem")


def list_all(
    plugin_files: PluginFiles = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")] = False,
) -> None:
    """List relaxations, estimators, data sets, tasks, benchmarks and gradient problems."""
    listing = cached_document("list", _listing, fresh=bool(plugin_files))
    if json:
        print_json(listing)
        return
    for kind, entries in listing.items():
        rows = [[e["name"], e["summary"], e["distribution"]] for e in entries]
        print_table(f"{kind}s", ["name", "summary", "from"], rows)


def _listing() -> dict[str, list[dict[str, Any]]]:
    from relaxit.plugins import default_registry

    registry = default_registry()
    return {
        kind: [
            {
                "name": name,
                "summary": cls.summary,
                "distribution": registry.provider(kind, name).distribution,
            }
            for name, cls in registry.items(kind).items()
        ]
        for kind in _KINDS
    }
