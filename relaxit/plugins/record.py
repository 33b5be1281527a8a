"""The record that a registry keeps of a plugin, and the conditions for registering a class."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from relaxit.hooks import api_of
from relaxit.options import Configured

__all__ = ["NAME", "PluginRecord", "registered_name", "registration_problem"]

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""Pattern of registered names."""


@dataclass
class PluginRecord:
    """One entry point or plugin file, and the result of loading it.

    Attributes:
        name: name of the entry point, or stem of the file.
        distribution: name of the installed distribution that it belongs to, or of the file.
        version: version of that distribution; empty for a file.
        target: module that the entry point names, or path of the file.
        disabled: whether it is disabled by ``RELAXIT_PLUGINS`` or ``RELAXIT_DISABLE_PLUGINS``.
        problems: one sentence for each problem; empty if there is none.
        remarks: notes that are not problems, such as output that was kept off stdout.
        error: the exception behind a failed import, for ``--debug``.
        provides: registered names by kind.
        sha256: hash of the content of a file; empty for an installed plugin.
    """

    name: str
    distribution: str
    version: str
    target: str
    disabled: bool = False
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    error: BaseException | None = None
    provides: dict[str, list[str]] = field(default_factory=dict)
    sha256: str = ""

    @property
    def state(self) -> str:
        """``ok``, ``broken`` or ``disabled``."""
        return "disabled" if self.disabled else "broken" if self.problems else "ok"

    @property
    def source(self) -> str:
        """The distribution and its version, or the file."""
        return f"{self.distribution} {self.version}".strip()

    @classmethod
    def of(cls, point: metadata.EntryPoint) -> Self:
        """Create the record of an entry point, without loading it."""
        dist = point.dist
        name, version = (dist.name, dist.version) if dist else ("unknown", "")
        return cls(point.name, name, version, point.value)

    def __str__(self) -> str:
        return f"{self.name!r} ({self.source})"


def registered_name(kind: str, item: Any) -> Any:
    """Return the name to register an object under: its own, or the stem of a recipe."""
    if kind == "recipe":
        return getattr(item, "stem", None)
    if kind == "command":
        return getattr(getattr(item, "info", None), "name", None)
    if kind == "function":
        return getattr(item, "__name__", None)
    return getattr(item, "name", None)


def registration_problem(kind: str, item: Any, name: Any) -> str:
    """Return why an object cannot be registered; empty if it can."""
    if kind == "recipe":
        return "" if isinstance(item, Path) else f"a recipe must be a Path, got {item!r}"
    if kind == "command":
        named = isinstance(name, str) and NAME.fullmatch(name)
        return "" if named else f"a command must be a typer.Typer with a name, got {item!r}"
    if kind == "function":
        return _function_problem(item, name)
    if not (isinstance(item, type) and issubclass(item, Configured) and item.kind == kind):
        return f"{item!r} is not a {kind} class"
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return f"{item.__name__}: name must be lower-case words joined by '-', got {name!r}"
    aliases = item.aliases
    if not isinstance(aliases, tuple) or not all(
        isinstance(alias, str) and NAME.fullmatch(alias) for alias in aliases
    ):
        return f"{kind} {name!r}: aliases must be a tuple of names, got {aliases!r}"
    api = getattr(item, "api", None)
    if api is None:
        return f"{kind} {name!r} has no api attribute: write api = {api_of(kind)} in the class"
    if api != api_of(kind):
        return f"{kind} {name!r} was written for api {api}, this relaxit has api {api_of(kind)}"
    if inspect.isabstract(item):
        missing = ", ".join(sorted(getattr(item, "__abstractmethods__", ())))
        return f"{kind} {name!r} does not implement {missing}"
    return ""


def _function_problem(item: Any, name: Any) -> str:
    if not callable(item) or isinstance(item, type):
        return f"{item!r} is not a function"
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
        return f"a function must have a public name, got {name!r}"
    return ""
