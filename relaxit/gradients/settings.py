"""How estimators are measured."""

from __future__ import annotations

from pydantic import Field, PositiveFloat

from relaxit.options import Options

__all__ = ["GradientSettings"]


class GradientSettings(Options):
    """How estimators are measured.

    Example:
        >>> GradientSettings(draws=100).states
        4096
    """

    temperatures: tuple[PositiveFloat, ...] = Field(
        (1.0,), min_length=1, description="of the law, each in turn"
    )
    states: int = Field(4096, ge=1, description="joint values that are enumerated at most")
    draws: int = Field(
        1024, ge=2, description="independent estimates, where no enumeration gives all of them"
    )
    warm_up: int = Field(
        500, ge=0, description="steps that a state is kept up with before it is measured"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="of problems and draws")
