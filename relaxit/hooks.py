"""What a plugin marks its hooks with, and how our own plugins are told from others.

A ground file: whatever needs one of these names imports nothing else with it.
"""

from __future__ import annotations

import pluggy

__all__ = ["ENTRY_POINT_GROUP", "OWN_DISTRIBUTION", "hookimpl", "is_own"]

ENTRY_POINT_GROUP = "relaxit.plugins"
"""Entry points of this group name modules with hooks."""
OWN_DISTRIBUTION = "relaxit-framework"
"""The distribution that relaxit itself is installed as."""

hookimpl = pluggy.HookimplMarker("relaxit")
"""Marks a function of a plugin module as a hook, see :mod:`relaxit.plugins.specs`."""


def is_own(distribution: str) -> bool:
    """Whether a plugin comes with relaxit itself.

    Example:
        >>> is_own("relaxit-framework"), is_own("relaxit-subset")
        (True, False)
    """
    return distribution == OWN_DISTRIBUTION
