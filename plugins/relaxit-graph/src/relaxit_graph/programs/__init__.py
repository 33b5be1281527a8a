"""Structures of sequences, by dynamic programs."""

from __future__ import annotations

__all__: list[str] = []
