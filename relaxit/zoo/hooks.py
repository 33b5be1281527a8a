"""The built-in recipes."""

from __future__ import annotations

from pathlib import Path

from relaxit.hooks import hookimpl

__all__ = ["relaxit_recipes"]


@hookimpl
def relaxit_recipes() -> list[Path]:
    return sorted(Path(__file__).parent.glob("recipes/*.toml"))
