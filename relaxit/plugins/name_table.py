"""A table of registered objects by name, in which two plugins may use the same name."""

from __future__ import annotations

from typing import Any

from relaxit.errors import PluginError, UnknownName
from relaxit.plugins.loader import HOOKS
from relaxit.plugins.packages import ELSEWHERE, package_of
from relaxit.plugins.record import PluginRecord, registered_name, registration_problem

__all__ = ["NameTable"]


class NameTable:
    """Registered objects by kind and name, each with its plugin.

    Attributes:
        plugins: records of all plugins, including those that provide nothing.
    """

    def __init__(self) -> None:
        self.plugins: list[PluginRecord] = []
        self._entries: dict[str, dict[str, list[tuple[PluginRecord, Any]]]] = {
            kind: {} for kind in HOOKS.values()
        }
        self._rejected: dict[tuple[str, str], str] = {}

    def enter(self, plugin: PluginRecord, kind: str, item: Any) -> None:
        """Register an object under its own name; problems are recorded on ``plugin``."""
        name = registered_name(kind, item)
        problem = registration_problem(kind, item, name)
        table = self._entries[kind]
        if not problem and any(
            p.distribution == plugin.distribution for p, _ in table.get(name, ())
        ):
            problem = f"{kind} {name!r} is registered twice by {plugin.distribution}"
        if problem:
            plugin.problems.append(problem)
            if isinstance(name, str):
                self._rejected[kind, name] = f"{plugin.distribution}: {problem}"
            return
        taken = table.setdefault(name, [])
        taken.append((plugin, item))
        plugin.provides.setdefault(kind, []).append(name)
        if len(taken) > 1:
            clash = f"{kind} {name!r} is provided by " + " and ".join(
                p.distribution for p, _ in taken
            )
            plugin.problems.append(f"{clash}; write one of {', '.join(_qualified(kind, taken))}")

    def remove(self, distribution: str, kind: str, name: str) -> None:
        """Remove a registered name."""
        left = [e for e in self._entries[kind].pop(name, []) if e[0].distribution != distribution]
        if left:
            self._entries[kind][name] = left

    def items(self, kind: str) -> dict[str, Any]:
        """Return the objects of a kind by name; shared names as ``distribution:name``."""
        objects: dict[str, Any] = {}
        for name, taken in sorted(self._entries[kind].items()):
            labels = [name] if len(taken) == 1 else _qualified(kind, taken)
            objects.update(zip(labels, (item for _, item in taken), strict=True))
        return objects

    def find(self, kind: str, name: str) -> Any:
        """Return the object registered under ``name`` or ``distribution:name``, or its alias.

        Raises:
            UnknownName: if there is none; lists the known and the similar names, and tells which
                package provides the name if it is one of ours that is absent.
            PluginError: if the plugin of that name is broken, or two plugins provide the name.
        """
        return self._entry(kind, name)[1]

    def registered(self, kind: str, name: str) -> str:
        """Return the registered name of an alias; any other name as it is.

        Raises:
            PluginError: if several objects have the alias.
        """
        if name in self._entries[kind] or not self._also_called(kind, name):
            return name
        return str(registered_name(kind, self.find(kind, name)))

    def provider(self, kind: str, name: str) -> PluginRecord:
        """Return the plugin whose object :meth:`find` returns for ``name``."""
        return self._entry(kind, name)[0]

    def _entry(self, kind: str, name: str) -> tuple[PluginRecord, Any]:
        distribution, _, bare = name.rpartition(":")
        taken = self._entries[kind].get(bare, [])
        if distribution:
            taken = [entry for entry in taken if entry[0].distribution == distribution]
        elif not taken:
            taken = self._also_called(kind, bare)
        if len(taken) == 1:
            return taken[0]
        if taken:
            raise PluginError(
                f"{kind} {bare!r} is provided by {len(taken)} plugins; "
                f"write {' or '.join(_qualified(kind, taken))}"
            )
        if (kind, bare) in self._rejected:
            raise PluginError(f"{kind} {bare!r} cannot be used: {self._rejected[kind, bare]}")
        broken = [p for p in self.plugins if p.problems]
        for plugin in broken:
            if bare in (plugin.name, plugin.distribution.removeprefix("relaxit-")):
                raise PluginError(f"{kind} {bare!r}: plugin {plugin}: {plugin.problems[0]}")
        hints = [self._where(kind, bare)]
        hints += [f"Plugin {p} is broken: {p.problems[0]}." for p in broken]
        also = [alias for item in self.items(kind).values() for alias in _aliases(item)]
        raise UnknownName(kind, name, self.items(kind), " ".join(h for h in hints if h), also)

    def _also_called(self, kind: str, alias: str) -> list[tuple[PluginRecord, Any]]:
        """Return the entries with this alias; a subclass does not inherit those of its base."""
        return [
            entry
            for taken in self._entries[kind].values()
            for entry in taken
            if alias in _aliases(entry[1])
        ]

    def _where(self, kind: str, name: str) -> str:
        """Return where a name is found: in an absent package, or elsewhere in relaxit."""
        package = package_of(kind, name)
        if kind != "function" and name in self._entries["function"]:
            return f"{name} is a function: relaxit.functional.{name}."
        if not package:
            return ELSEWHERE.get((kind, name), "") or self._of_another_kind(kind, name)
        for plugin in self.plugins:
            if plugin.distribution == package:
                return (
                    f"It comes with {package}, which is disabled by RELAXIT_PLUGINS or "
                    "RELAXIT_DISABLE_PLUGINS."
                )
        return (
            f"It comes with the package {package}, which is not installed: in a checkout of "
            f"relaxit, pip install -e . -e plugins/{package}"
        )

    def _of_another_kind(self, kind: str, name: str) -> str:
        """Return which kind the name belongs to, if it is used for another one than was asked."""
        for other, table in self._entries.items():
            if other != kind and (name in table or self._also_called(other, name)):
                article = "an" if other[0] in "aeiou" else "a"
                return f"{name!r} is the name of {article} {other}."
        return ""


def _aliases(item: Any) -> tuple[str, ...]:
    """Return the aliases of a class, without those that it would inherit."""
    return tuple(vars(item).get("aliases", ())) if isinstance(item, type) else ()


def _qualified(kind: str, taken: list[tuple[PluginRecord, Any]]) -> list[str]:
    return [f"{plugin.distribution}:{registered_name(kind, item)}" for plugin, item in taken]
