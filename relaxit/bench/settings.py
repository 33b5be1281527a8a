"""Settings of a benchmark run."""

from __future__ import annotations

from pydantic import Field

from relaxit.options import Options

__all__ = ["BenchmarkSettings"]


class BenchmarkSettings(Options):
    """Settings of a benchmark run.

    Example:
        >>> BenchmarkSettings(rounds=20).seconds
        10.0
    """

    rounds: int = Field(default=200, ge=1, description="maximum number of rounds")
    seconds: float = Field(
        default=10.0, ge=0, description="no round begins later, except the first three"
    )
    compiled: bool = Field(default=True, description="whether compiled implementations take part")
    only: frozenset[str] = Field(
        default=frozenset(), description="implementations that take part; all if empty"
    )
    against: frozenset[str] = Field(
        default=frozenset(), description="baselines that take part, besides our own; all if empty"
    )
    seed: int = Field(default=0, ge=0, description="seed of the generators and of the orders")
