"""What a registry knows of a plugin, and what a class must be to be registered."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from relaxit.options import Configured
from relaxit.relaxation import API

__all__ = ["Plugin", "defect", "registered_name"]

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass
class Plugin:
    """One entry point and what became of it.

    Attributes:
        name: entry-point name.
        distribution: the installed package it belongs to.
        version: that package's version.
        target: module the entry point names.
        disabled: turned off by ``RELAXIT_PLUGINS`` or ``RELAXIT_DISABLE_PLUGINS``.
        problems: what went wrong, one sentence each; empty if all is well.
        error: the exception behind a failed import, for ``--debug``.
        provides: registered names by kind.
    """

    name: str
    distribution: str
    version: str
    target: str
    disabled: bool = False
    problems: list[str] = field(default_factory=list)
    error: BaseException | None = None
    provides: dict[str, list[str]] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """``ok``, ``broken`` or ``disabled``."""
        return "disabled" if self.disabled else "broken" if self.problems else "ok"

    @classmethod
    def of(cls, point: metadata.EntryPoint) -> Self:
        """The record of an entry point, which is not loaded."""
        dist = point.dist
        name, version = (dist.name, dist.version) if dist else ("unknown", "")
        return cls(point.name, name, version, point.value)

    def __str__(self) -> str:
        source = f"{self.distribution} {self.version}".strip()
        return f"{self.name!r} ({source})"


def registered_name(kind: str, item: Any) -> Any:
    """The name an object goes by: its own, a recipe's stem, a command's name."""
    if kind == "recipe":
        return getattr(item, "stem", None)
    if kind == "command":
        return getattr(getattr(item, "info", None), "name", None)
    return getattr(item, "name", None)


def defect(kind: str, item: Any, name: Any) -> str:
    """Why an object may not be registered; empty if it may."""
    if kind == "recipe":
        return "" if isinstance(item, Path) else f"a recipe must be a Path, got {item!r}"
    if kind == "command":
        named = isinstance(name, str) and _NAME.fullmatch(name)
        return "" if named else f"a command must be a typer.Typer with a name, got {item!r}"
    if not (isinstance(item, type) and issubclass(item, Configured) and item.kind == kind):
        return f"{item!r} is not a {kind} class"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return f"{item.__name__}: name must be lower-case words joined by '-', got {name!r}"
    api = getattr(item, "api", None)
    if api != API:
        return f"{kind} {name!r} was written for api {api}, this relaxit has api {API}"
    if inspect.isabstract(item):
        missing = ", ".join(sorted(getattr(item, "__abstractmethods__", ())))
        return f"{kind} {name!r} does not implement {missing}"
    return ""
