"""Settings of the measurement of estimators."""

from __future__ import annotations

from pydantic import Field, PositiveFloat

from relaxit.options import Options

__all__ = ["GradientSettings"]


class GradientSettings(Options):
    """Settings of the measurement of estimators.

    Example:
        >>> GradientSettings(draws=100).states
        4096
    """

    temperatures: tuple[PositiveFloat, ...] = Field(
        (1.0,), min_length=1, description="temperatures of the distribution, each in turn"
    )
    states: int = Field(4096, ge=1, description="largest number of joint values to enumerate")
    draws: int = Field(
        1024, ge=2, description="number of independent estimates, if enumeration is not possible"
    )
    warm_up: int = Field(
        500, ge=0, description="number of steps that a state is updated before it is measured"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of problems and draws")
