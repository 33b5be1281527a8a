"""The check of a number of samples."""

from __future__ import annotations

import operator
from typing import Any

from relaxit.errors import ConfigurationError

__all__ = ["check_count"]


def check_count(owner: str, what: str, number: Any, least: int) -> None:
    """Reject a number of samples that is not an integer of at least ``least``.

    Raises:
        ConfigurationError: names the owner, the argument and the value.

    Example:
        >>> check_count("iwae_loss", "samples", 0, 1)
        Traceback (most recent call last):
            ...
        relaxit.errors.ConfigurationError: iwae_loss: samples must be an integer of 1 or more, got 0
    """
    try:
        enough = not isinstance(number, bool) and operator.index(number) >= least
    except TypeError:
        enough = False
    if not enough:
        raise ConfigurationError(
            f"{owner}: {what} must be an integer of {least} or more, got {number!r}"
        )
