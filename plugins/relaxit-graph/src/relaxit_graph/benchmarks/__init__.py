"""What the structures cost, compared with other libraries."""

from __future__ import annotations

__all__: list[str] = []
