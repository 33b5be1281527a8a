"""``relaxit new-plugin``: write a plugin package to start from."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from relaxit.cli.output import print_json, tell

__all__ = ["new_plugin"]


def new_plugin(
    name: Annotated[
        str, typer.Argument(help="Name of the new relaxation: lower-case words joined by '-'.")
    ],
    directory: Annotated[
        Path, typer.Option("--dir", help="Directory in which to write the package.")
    ] = Path(),
    json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")] = False,
) -> None:
    """Write a working plugin package, relaxit-NAME, as the start of your own relaxation."""
    from relaxit.plugins import scaffold

    path = scaffold.new_plugin(name, directory)
    # pip looks a bare word up in a package index; a path needs a separator.
    shown = str(path) if path.is_absolute() else os.path.join(os.curdir, path)
    commands = [
        ["pip", "install", "-e", f"{shown}[dev]"],
        ["relaxit", "check", name],
        ["relaxit", "train", "--relaxation", name],
    ]
    lines = [shlex.join(command) for command in commands]
    tell(f"wrote {shown}, which works as it is. Next:")
    for line in lines:
        tell(f"    {line}")
    tell("Then adapt it: README.md says where.")
    if json:
        print_json({"path": str(path), "next": lines})
