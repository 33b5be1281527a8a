"""``relaxit doctor``: versions, devices, plugins and known conflicts, for bug reports."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relaxit.cli.output import print_json

__all__ = ["doctor"]


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")] = False,
) -> None:
    """Print what a bug report needs. Exits with 1 if there is a conflict or a broken plugin."""
    from relaxit.data import torchvision_problem
    from relaxit.environment import devices, versions
    from relaxit.plugins import default_registry

    conflicts = [text for text in (_other_relaxit(), torchvision_problem()) if text]
    broken = [
        f"plugin {p.name!r}: {'; '.join(p.problems)}"
        for p in default_registry().plugins
        if p.problems
    ]
    facts: dict[str, Any] = {
        "versions": versions(),
        "devices": devices(),
        "plugins": [
            "; ".join([f"{p.name} ({p.source}): {p.state}", *p.remarks])
            for p in default_registry().plugins
        ],
        "conflicts": conflicts + broken,
    }
    if json:
        print_json(facts)
    else:
        for key, value in facts["versions"].items():
            print(f"{key}: {value}")
        print(f"devices: {', '.join(facts['devices'])}")
        for line in facts["plugins"]:
            print(f"plugin {line}")
        print("conflicts: " + ("; ".join(facts["conflicts"]) or "none"))
    if facts["conflicts"]:
        raise typer.Exit(1)


def _other_relaxit() -> str:
    from importlib import metadata

    try:
        version = metadata.version("relaxit")
    except metadata.PackageNotFoundError:
        return ""
    return (
        f"the unrelated distribution 'relaxit' {version} shares our package directory: "
        "pip uninstall relaxit, then reinstall relaxit-framework from its path"
    )
