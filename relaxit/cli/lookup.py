"""Look up a name from the command line among all registered classes."""

from __future__ import annotations

from typing import Any

__all__ = ["find_any", "kind_of"]

_KINDS = ("relaxation", "estimator", "dataset", "task", "benchmark", "problem")


def kind_of(cls: Any) -> str:
    """Return what a registered class is, with its article.

    Example:
        >>> from relaxit.data import Dataset
        >>> kind_of(Dataset)
        'a data set'
    """
    words = {"dataset": "data set", "problem": "gradient problem"}
    word = words.get(cls.kind, cls.kind)
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def find_any(name: str) -> Any:
    """Return the class registered under a name, of any kind; relaxations take precedence.

    Raises:
        UnknownName: with the known and the similar names of all kinds.
        PluginError: if the plugin of that name is broken, or two plugins claim it.
    """
    from relaxit.errors import UnknownName
    from relaxit.plugins import default_registry

    registry = default_registry()
    known: dict[str, Any] = {}
    for kind in reversed(_KINDS):
        known |= registry.items(kind)
    if name in known:
        return known[name]
    for kind in _KINDS:
        try:
            return registry.find(kind, name)
        except UnknownName as error:
            missing = error
    raise UnknownName("name", name, known) from missing
