"""``relaxit bench``: how fast, how large and how exact the ways of doing one thing are."""

from __future__ import annotations

import typer

from relaxit.cli.bench.gradients import gradients
from relaxit.cli.bench.startup import startup
from relaxit.cli.bench.suite import suite
from relaxit.cli.bench.training import training

__all__ = ["bench"]

bench = typer.Typer(help="Measure time, memory and error.", no_args_is_help=True)

_RULES = (
    "The implementations of each run in turn, round after round.\n\n"
    "An implementation that fails or cannot be run is listed with the reason. Exits with 5 if a "
    "benchmark gave no figures because something failed."
)


@bench.callback()
def group() -> None:
    """Measure time, memory and error."""


bench.command("sampling", help=f"Draws of a relaxed or exact law, at several sizes. {_RULES}")(
    suite("sampling")
)
bench.command("structures", help=f"Benchmarks of structures. {_RULES}")(suite("structures"))
bench.command()(training)
bench.command()(startup)
bench.command()(gradients)
