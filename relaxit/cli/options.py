"""Options that the measuring commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Against", "Device", "Json", "NoCompile", "Only", "Out", "Threads", "names_in"]

Device = Annotated[str, typer.Option("--device", help="Device: auto, cpu, cuda, cuda:N or mps.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        help="Number of CPU threads for all implementations; PyTorch's choice if absent.",
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="BASELINES",
        help="Baselines, separated by commas; all if absent. relaxit's own are always run.",
    ),
]
Only = Annotated[
    list[str] | None, typer.Option("--only", help="Run only this implementation; may be repeated.")
]
NoCompile = Annotated[
    bool,
    typer.Option("--no-compile", help="Leave out implementations that use torch.compile."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="File to which the JSON is written as well.")
]


def names_in(listed: str | None) -> list[str]:
    """Split a list of names separated by commas.

    Example:
        >>> names_in("torch, pyro,")
        ['torch', 'pyro']
    """
    return [name for part in (listed or "").split(",") if (name := part.strip())]
