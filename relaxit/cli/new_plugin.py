"""``relaxit new-plugin``: a plugin package to turn into one's own."""

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
        str, typer.Argument(help="Name of its relaxation: lower-case words joined by '-'.")
    ],
    directory: Annotated[
        Path, typer.Option("--dir", help="Folder to write the package to.")
    ] = Path(),
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Write a working plugin package, relaxit-NAME, to start a relaxation of your own from."""
    from relaxit.plugins import scaffold

    path = scaffold.new_plugin(name, directory)
    # pip takes a bare word for a name to ask an index for; a path has a separator.
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
    tell("Then make it yours: README.md says where.")
    if json:
        print_json({"path": str(path), "next": lines})
