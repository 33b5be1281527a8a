"""Options that the benchmark commands share, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Against", "Device", "Json", "Only", "Out", "Threads", "names_in"]

Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", help="Of the CPU, for all implementations; PyTorch's choice if absent."
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="BASELINES",
        help="Baselines, with commas between; all if absent. Ours stay.",
    ),
]
Only = Annotated[
    list[str] | None, typer.Option("--only", help="Run this implementation; may be given again.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Out = Annotated[Path | None, typer.Option("--out", help="File to write the JSON to as well.")]


def names_in(listed: str | None) -> frozenset[str]:
    """Names with commas between.

    Example:
        >>> sorted(names_in("torch, pyro,"))
        ['pyro', 'torch']
    """
    return frozenset(name for each in (listed or "").split(",") if (name := each.strip()))
