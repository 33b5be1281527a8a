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
    """Return RELAXIT_CACHE_DIR, or ``relaxit`` in the user's cache directory."""
    if chosen := os.environ.get("RELAXIT_CACHE_DIR"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "relaxit" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "relaxit"


def cached_document(name: str, compute: Callable[[], Any], fresh: bool = False) -> Any:
    """Return a JSON document from the cache, or compute it and store it there.

    The document is always computed if PyTorch is imported already: nothing would be gained, and the
    program may have registered classes of its own. It is not stored if any plugin is broken,
    because what is missing may be installed without a change of the plugin.

    Args:
        name: name of the document, such as ``"list"`` or ``"show-categorical"``.
        compute: function that computes the document from the plugins.
        fresh: whether to compute the document without using the cache.

    Raises:
        Exception: any exception of ``compute``; nothing is stored then.
    """
    # Part of a name was typed by the user and need not be valid as a file name.
    if fresh or _torch_is_loaded() or not re.fullmatch(r"[\w-]+", name):
        return compute()
    from relaxit.plugins import plugins_fingerprint

    path = cache_directory() / f"{name}.json"
    key = plugins_fingerprint()
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        if saved["fingerprint"] == key:
            return saved["document"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    document = compute()
    if not _any_broken_plugin():
        _store(path, {"fingerprint": key, "document": document})
    return document


def _torch_is_loaded() -> bool:
    return "torch" in sys.modules


def _any_broken_plugin() -> bool:
    if not _torch_is_loaded():  # so no plugin was loaded: the built-in recipes need none
        return False
    from relaxit.plugins import default_registry

    return any(plugin.problems for plugin in default_registry().plugins)


def _store(path: Path, content: dict[str, Any]) -> None:
    from relaxit.errors import RelaxitError
    from relaxit.files import write_atomically

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(content))
    except (OSError, RelaxitError, TypeError, ValueError):
        pass
