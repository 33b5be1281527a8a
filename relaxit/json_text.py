"""JSON that every reader accepts: without NaN and infinity, which the format does not have."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["json_text", "without_nan"]


def without_nan(value: Any) -> Any:
    """Return the same document with None in place of numbers that are not finite.

    Example:
        >>> without_nan({"a": [1.0, float("nan")], "b": "text"})
        {'a': [1.0, None], 'b': 'text'}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(part) for part in value]
    return value


def json_text(value: Any) -> str:
    r"""Return a document as indented text, after :func:`without_nan`.

    Example:
        >>> json_text([float("inf")])
        '[\n  null\n]'
    """
    return json.dumps(without_nan(value), indent=2, allow_nan=False)
