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

__all__ = ["NAME", "PluginRecord", "registered_name", "registration_problem"]

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""What a registered name looks like."""


@dataclass
class PluginRecord:
    """One entry point or file, and what became of it.

    Attributes:
        name: entry-point name; the stem of a file.
        distribution: the installed package it belongs to; the name of a file.
        version: that package's version; empty for a file.
        target: module the entry point names; path of a file.
        disabled: turned off by ``RELAXIT_PLUGINS`` or ``RELAXIT_DISABLE_PLUGINS``.
        problems: what went wrong, one sentence each; empty if all is well.
        remarks: what is worth knowing and no problem, such as output that was kept off stdout.
        error: the exception behind a failed import, for ``--debug``.
        provides: registered names by kind.
        sha256: of the content of a file; empty for an installed plugin.
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
        """The distribution and its version, or the file: where it comes from."""
        return f"{self.distribution} {self.version}".strip()

    @classmethod
    def of(cls, point: metadata.EntryPoint) -> Self:
        """The record of an entry point, which is not loaded."""
        dist = point.dist
        name, version = (dist.name, dist.version) if dist else ("unknown", "")
        return cls(point.name, name, version, point.value)

    def __str__(self) -> str:
        return f"{self.name!r} ({self.source})"


def registered_name(kind: str, item: Any) -> Any:
    """The name an object goes by: its own, a recipe's stem, a command's name."""
    if kind == "recipe":
        return getattr(item, "stem", None)
    if kind == "command":
        return getattr(getattr(item, "info", None), "name", None)
    return getattr(item, "name", None)


def registration_problem(kind: str, item: Any, name: Any) -> str:
    """Why an object may not be registered; empty if it may."""
    if kind == "recipe":
        return "" if isinstance(item, Path) else f"a recipe must be a Path, got {item!r}"
    if kind == "command":
        named = isinstance(name, str) and NAME.fullmatch(name)
        return "" if named else f"a command must be a typer.Typer with a name, got {item!r}"
    if not (isinstance(item, type) and issubclass(item, Configured) and item.kind == kind):
        return f"{item!r} is not a {kind} class"
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return f"{item.__name__}: name must be lower-case words joined by '-', got {name!r}"
    api = getattr(item, "api", None)
    if api is None:
        return f"{kind} {name!r} states no api: write api = {API} in the class"
    if api != API:
        return f"{kind} {name!r} was written for api {api}, this relaxit has api {API}"
    if inspect.isabstract(item):
        missing = ", ".join(sorted(getattr(item, "__abstractmethods__", ())))
        return f"{kind} {name!r} does not implement {missing}"
    return ""
