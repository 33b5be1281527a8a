"""Output for people (stderr) and for programs (stdout)."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "print_json", "tell"]


def console(stderr: bool = True) -> Console:
    """Return a rich console; plain where the stream is not a terminal or NO_COLOR is set."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def tell(message: str, quiet: bool = False) -> None:
    """Print one line for the user."""
    if not quiet:
        print(message, file=sys.stderr, flush=True)


def print_json(value: Any, allow_nan: bool = True) -> None:
    """Print one JSON document to stdout.

    Args:
        value: the document.
        allow_nan: whether NaN and infinity are allowed, which not every JSON reader accepts.

    Raises:
        ValueError: if the document has NaN or infinity, and they are not allowed.
    """
    print(json.dumps(value, indent=2, allow_nan=allow_nan))
