"""Schedules of temperatures, weights of a loss and learning rate, as functions of the global step.

They are plain functions of an integer, without tensors and without state. The trainer evaluates
them and fills a buffer in place. The step is global because a schedule that restarts in each epoch
would never leave its first values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from relaxit.errors import ConfigurationError

__all__ = ["KINDS", "Schedule", "cosine_decay", "ramp", "temperature_schedule"]

Schedule = Callable[[int], float]
Kind = Literal["constant", "exponential", "linear", "cosine", "learned"]
KINDS: tuple[Kind, ...] = ("constant", "exponential", "linear", "cosine", "learned")


def temperature_schedule(
    kind: Kind, initial: float, final: float, steps: int, rate: float | None = None
) -> Schedule:
    """Return the temperature as a function of the global step.

    - ``constant``: ``initial``. ``learned`` starts at ``initial`` and is trained.
    - ``exponential``: ``max(final, initial * exp(-rate * t))``; the default rate reaches
      ``final`` after ``steps``.
    - ``linear``, ``cosine``: from ``initial`` to ``final`` over ``steps``, then ``final``.

    Args:
        kind: one of :data:`KINDS`.
        initial, final: temperatures, positive.
        steps: length of the schedule, in optimizer steps.
        rate: decay per step, for ``exponential``.

    Raises:
        ConfigurationError: if the settings contradict each other.

    Example:
        >>> tau = temperature_schedule("exponential", 1.0, 0.5, steps=1000, rate=1e-3)
        >>> round(tau(0), 4), round(tau(500), 4), round(tau(5000), 4)
        (1.0, 0.6065, 0.5)

    Reference: exponential, Jang, Gu, Poole, arXiv:1611.01144, section 4.2.
    """
    if kind in ("constant", "learned"):
        return lambda step: initial
    steps = max(steps, 1)
    if kind == "exponential":
        if final > initial:
            raise ConfigurationError(
                f"an exponential schedule must decrease: final temperature {final} > initial "
                f"{initial}"
            )
        decay = math.log(initial / final) / steps if rate is None else rate
        return lambda step: max(final, initial * math.exp(-decay * step))
    if kind == "linear":
        return lambda step: initial + (final - initial) * min(1.0, step / steps)
    if kind == "cosine":
        return lambda step: final + (initial - final) * cosine_decay(step, steps)
    raise ConfigurationError(f"unknown schedule {kind!r}. Known: {', '.join(KINDS)}")


def cosine_decay(step: int, steps: int) -> float:
    """Return a factor that falls from 1 to 0 along half a cosine over ``steps``."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(steps, 1))))


def ramp(step: int, steps: float) -> float:
    """Return a factor that rises linearly from 0 to 1 over ``steps``; always 1 if that is 0."""
    return min(1.0, step / steps) if steps > 0 else 1.0
