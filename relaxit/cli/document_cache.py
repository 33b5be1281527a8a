"""A cache of documents that depend on the installed plugins alone, so that no PyTorch is imported.

``relaxit list`` and ``relaxit show`` ask plugins, whose modules import PyTorch, which takes
seconds. The answer is kept in the user's cache directory together with the fingerprint of the
plugins, and computed again when the fingerprint changes. If the cache cannot be read or written,
it is not used.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["cache_directory", "cached_document"]


def cache_directory() -> Path:
    """``relaxit`` in the user's cache directory; RELAXIT_CACHE_DIR names another."""
    if chosen := os.environ.get("RELAXIT_CACHE_DIR"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "relaxit" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "relaxit"


def cached_document(name: str, compute: Callable[[], Any], fresh: bool = False) -> Any:
    """A document of JSON, from the cache or computed and put there.

    Args:
        name: of the document, such as ``"list"`` or ``"show-categorical"``.
        compute: what makes it; it may import anything.
        fresh: compute it, and leave the cache alone. So it is where PyTorch is loaded already.

    Raises:
        Exception: whatever ``compute`` raises. Nothing is kept then.
    """
    from relaxit.plugins import plugins_fingerprint

    if fresh or _torch_is_loaded():
        return compute()
    if not re.fullmatch(r"[\w-]+", name):  # what a user typed, and no name of a file
        return compute()
    path = cache_directory() / f"{name}.json"
    key = plugins_fingerprint()
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        if saved["fingerprint"] == key:
            return saved["document"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    document = compute()
    _keep(path, {"fingerprint": key, "document": document})
    return document


def _torch_is_loaded() -> bool:
    """Whether nothing is gained; besides, a program may have registered classes of its own."""
    return "torch" in sys.modules


def _keep(path: Path, content: dict[str, Any]) -> None:
    from relaxit.errors import RelaxitError
    from relaxit.files import write_atomically

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(content))
    except (OSError, RelaxitError, TypeError, ValueError):
        pass
