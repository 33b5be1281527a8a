"""``--plugin FILE``: a single Python file as a plugin, for one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relaxit.cli.output import tell

__all__ = ["PluginFiles", "tell_changes"]

_loaded: list[Path] = []


def _load(context: typer.Context, files: list[Path] | None) -> list[Path] | None:
    """Load the files before the command runs, and unload them after it."""
    if context.resilient_parsing:  # shell completion must not run a plugin's code
        return files
    _unload()  # left over from a command line that was rejected later on
    if files:
        from relaxit.plugins import default_registry, load_file

        for file in files:
            load_file(file)
            _loaded.append(file)
        if context.find_root().params.get("strict_plugins"):
            default_registry().require_sound()
        context.call_on_close(_unload)
    return files


def _unload() -> None:
    while _loaded:
        from relaxit.plugins import unload_file

        unload_file(_loaded.pop())


PluginFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        help="Python file to load as a plugin, which runs its code; may be repeated.",
        callback=_load,
        show_default=False,
    ),
]
"""Type of the parameter ``plugin_files`` of every command that looks up names."""


def tell_changes(run: Path) -> None:
    """Warn about each plugin file that is not the one the run was trained with."""
    from relaxit.training.runs import RunDirectory

    for change in RunDirectory(run).plugin_changes():
        tell(f"warning: {change}")
