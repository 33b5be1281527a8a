"""How a benchmark is run."""

from __future__ import annotations

from pydantic import Field

from relaxit.options import Options

__all__ = ["BenchmarkSettings"]


class BenchmarkSettings(Options):
    """How a benchmark is run.

    Example:
        >>> BenchmarkSettings(rounds=20).seconds
        10.0
    """

    rounds: int = Field(default=200, ge=1, description="at most so many rounds")
    seconds: float = Field(
        default=10.0, ge=0, description="no round begins later, but for the first three"
    )
    compiled: bool = Field(default=True, description="whether torch.compile takes part")
    only: frozenset[str] = Field(
        default=frozenset(), description="implementations that take part; all if empty"
    )
    against: frozenset[str] = Field(
        default=frozenset(), description="baselines that take part, beside our own; all if empty"
    )
    seed: int = Field(default=0, ge=0, description="of the generators and of the orders")
