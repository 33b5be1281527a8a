"""``relaxit bench`` and its subcommands."""

from __future__ import annotations

from relaxit.cli.bench.group import bench

__all__ = ["bench"]
