"""Graphs by their edges: independent ones, a fixed number of them, and what trees share."""

from __future__ import annotations

__all__: list[str] = []
