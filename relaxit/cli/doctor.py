"""``relaxit doctor``: versions, devices, plugins and known conflicts, for bug reports."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relaxit.cli.output import print_json

__all__ = ["doctor"]


def doctor(
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Print what a bug report needs. Exits with 1 if it found a conflict."""
    from relaxit.data import torchvision_problem
    from relaxit.environment import devices, versions
    from relaxit.plugins import default_registry

    conflicts = [text for text in (_other_relaxit(), torchvision_problem()) if text]
    broken = [
        f"plugin {p.name!r}: {'; '.join(p.problems)}"
        for p in default_registry().plugins
        if p.problems
    ]
    found: dict[str, Any] = {
        "versions": versions(),
        "devices": devices(),
        "plugins": [
            "; ".join([f"{p.name} ({p.source}): {p.state}", *p.remarks])
            for p in default_registry().plugins
        ],
        "conflicts": conflicts + broken,
    }
    if json:
        print_json(found)
    else:
        for key, value in found["versions"].items():
            print(f"{key}: {value}")
        print(f"devices: {', '.join(found['devices'])}")
        for line in found["plugins"]:
            print(f"plugin {line}")
        print("conflicts: " + ("; ".join(found["conflicts"]) or "none"))
    if found["conflicts"]:
        raise typer.Exit(1)


def _other_relaxit() -> str:
    from importlib import metadata

    try:
        version = metadata.version("relaxit")
    except metadata.PackageNotFoundError:
        return ""
    return (
        f"the unrelated distribution 'relaxit' {version} shares our package folder: "
        "pip uninstall relaxit, then reinstall relaxit-framework from its path"
    )
