"""Packages whose names are imported on first use.

A package that exports something heavy must not load it for a user who needs something light:
``relaxit --help`` does not import PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

__all__ = ["lazy_exports"]


def lazy_exports(
    package: str, exports: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package (PEP 562).

    Args:
        package: ``__name__`` of the package.
        exports: exported names by the module that defines them. Where the name is that of the
            module, as in ``"relaxit.noise": ["noise"]``, the module itself is exported.

    Example:
        >>> getattribute, _, names = lazy_exports("here", {"math": ["pi", "tau"]})
        >>> names, getattribute("pi")
        (['pi', 'tau'], 3.141592653589793)
    """
    homes = {name: module for module, names in exports.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(homes[name])
        return module if homes[name] == f"{package}.{name}" else getattr(module, name)

    def __dir__() -> list[str]:
        return sorted(homes)

    return __getattr__, __dir__, sorted(homes)
