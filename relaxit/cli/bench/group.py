"""``relaxit bench``: time, memory and error of several implementations of one computation."""

from __future__ import annotations

import typer

from relaxit.cli.bench.gradients import gradients
from relaxit.cli.bench.suite import suite
from relaxit.cli.bench.training import training

__all__ = ["bench"]

bench = typer.Typer(help="Measure time, memory and error.", no_args_is_help=True)

_RULES = (
    "The implementations of a benchmark run in turn, round after round.\n\n"
    "An implementation that fails or cannot be run is listed with the reason. Exits with 5 if a "
    "benchmark gave no results because something failed."
)


@bench.callback()
def group() -> None:
    """Measure time, memory and error."""


bench.command(
    "sampling",
    help=f"Benchmarks of sampling from relaxed and exact distributions. {_RULES}",
)(suite("sampling"))
bench.command("structures", help=f"Benchmarks of discrete structures. {_RULES}")(
    suite("structures")
)
bench.command()(training)
bench.command()(gradients)
