"""Look up a name from the command line among all registered classes."""

from __future__ import annotations

from typing import Any

__all__ = ["find_any"]

_KINDS = ("relaxation", "estimator", "dataset", "task", "benchmark", "problem")


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
