"""The marker of a plugin's hooks, and how built-in plugins are told from others.

Nothing else of relaxit is imported here, so that these names cost little to import.
"""

from __future__ import annotations

import pluggy

__all__ = ["APIS", "ENTRY_POINT_GROUP", "OWN_DISTRIBUTION", "api_of", "hookimpl", "is_own"]

APIS = {"task": 2, "dataset": 2}
"""Versions of the contracts that are not the first, by kind."""
ENTRY_POINT_GROUP = "relaxit.plugins"
"""Group of the entry points that name modules with hooks."""
OWN_DISTRIBUTION = "relaxit-framework"
"""Name of the distribution that contains relaxit itself."""

hookimpl = pluggy.HookimplMarker("relaxit")
"""Marks a function of a plugin module as a hook, see :mod:`relaxit.plugins.specs`."""


def api_of(kind: str) -> int:
    """Return the version of a contract; a plugin's classes state the one they were written for.

    Example:
        >>> api_of("relaxation"), api_of("task")
        (1, 2)
    """
    return APIS.get(kind, 1)


def is_own(distribution: str) -> bool:
    """Whether a plugin comes with relaxit itself.

    Example:
        >>> is_own("relaxit-framework"), is_own("relaxit-subset")
        (True, False)
    """
    return distribution == OWN_DISTRIBUTION
