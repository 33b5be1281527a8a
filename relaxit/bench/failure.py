"""What is said of an error: one line, of a length that fits into a table."""

from __future__ import annotations

__all__ = ["reason_of"]

_LONGEST = 300


def reason_of(error: BaseException) -> str:
    """Type and message of an error on one line, shortened if it is long.

    Example:
        >>> reason_of(ValueError("two\\nlines"))
        'ValueError: two lines'
    """
    text = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
