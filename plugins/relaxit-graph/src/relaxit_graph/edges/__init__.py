"""Independent edges."""

from __future__ import annotations
