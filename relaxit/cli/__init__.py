"""The command line: one small file per command, each calling library functions.

Nothing here imports torch at module level, so that ``relaxit --help`` answers at once.
"""

from __future__ import annotations

from relaxit.cli.app import main

__all__ = ["main"]
