"""Tasks that learn a structure."""

from __future__ import annotations

__all__: list[str] = []
