"""Finds plugins, loads each in isolation, and answers look-ups by name.

Entry points are taken one at a time. What goes wrong in one of them (it does not import, a hook
has a wrong signature or a misspelt name, a class was written for another contract) is recorded on
its :class:`Plugin`, shown by ``relaxit plugins`` and named when a look-up misses. It never stops
the others, and it is never silent.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from typing import Any, TypeVar

import pluggy

from relaxit import hookspecs
from relaxit.errors import PluginError, UnknownName
from relaxit.estimators.base import Estimator
from relaxit.options import Configured
from relaxit.plugin import Plugin, defect, registered_name
from relaxit.relaxation import Relaxation

__all__ = [
    "Plugin",
    "Registry",
    "default",
    "estimator",
    "get",
    "register",
    "relaxations",
    "unregister",
]

OWN_DISTRIBUTION = "relaxit-framework"
SESSION = "session"
_HOOKS = {
    "relaxit_relaxations": "relaxation",
    "relaxit_estimators": "estimator",
    "relaxit_datasets": "dataset",
    "relaxit_recipes": "recipe",
    "relaxit_commands": "command",
}
C = TypeVar("C", bound=type[Configured])


class Registry:
    """Names of relaxations, estimators, data sets and recipes, and the plugins they came from.

    Args:
        entry_points: what to load; the installed ones of the group ``relaxit.plugins`` if None.
        environ: where ``RELAXIT_PLUGINS`` (comma-separated names to load besides our own, or
            ``none``) and ``RELAXIT_DISABLE_PLUGINS`` are read.
    """

    def __init__(
        self,
        entry_points: Iterable[metadata.EntryPoint] | None = None,
        environ: dict[str, str] | None = None,
    ) -> None:
        env = os.environ if environ is None else environ
        self.plugins: list[Plugin] = []
        self._entries: dict[str, dict[str, list[tuple[Plugin, Any]]]] = {
            kind: {} for kind in _HOOKS.values()
        }
        self._rejected: dict[tuple[str, str], str] = {}
        if entry_points is None:
            entry_points = metadata.entry_points(group=hookspecs.ENTRY_POINT_GROUP)
        chosen, refused = _names(env, "RELAXIT_PLUGINS"), _names(env, "RELAXIT_DISABLE_PLUGINS")
        for point in _ours_first(entry_points):
            plugin = Plugin.of(point)
            labels = {plugin.name, plugin.distribution}
            outside = plugin.distribution != OWN_DISTRIBUTION
            if labels & refused or (outside and chosen and not labels & chosen):
                plugin.disabled = True
                self.plugins.append(plugin)
                continue
            self._load(plugin, point)

    def _load(self, plugin: Plugin, point: metadata.EntryPoint) -> None:
        try:
            # A plugin that prints must not spoil the output of --json.
            with contextlib.redirect_stdout(sys.stderr):
                module = point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: one plugin may not end the program
            plugin.error = error
            plugin.problems.append(f"import failed: {type(error).__name__}: {error}")
            self.plugins.append(plugin)
            return
        self.add(plugin, module)

    def add(self, plugin: Plugin, module: Any) -> None:
        """Call the hooks of ``module`` and register what they return under ``plugin``."""
        self.plugins.append(plugin)
        if not hasattr(module, "__dict__"):  # a list, None: no place for hooks
            plugin.problems.append(f"names a {type(module).__name__}, not a module with hooks")
            return
        manager = pluggy.PluginManager("relaxit")  # of its own: a bad one leaves no trace
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(module)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            plugin.problems.append(" ".join(str(error).split()))
        for name in _unmarked(module, manager):
            plugin.problems.append(f"{name} is not marked with @relaxit.hookimpl, so not a hook")
        for hook, kind in _HOOKS.items():
            try:
                with contextlib.redirect_stdout(sys.stderr):
                    items = [item for result in getattr(manager.hook, hook)() for item in result]
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # as at import; a result that is no list counts too
                plugin.error = error
                plugin.problems.append(f"{hook} raised {type(error).__name__}: {error}")
                continue
            for item in items:
                self._enter(plugin, kind, item)

    def _enter(self, plugin: Plugin, kind: str, item: Any) -> None:
        name = registered_name(kind, item)
        problem = defect(kind, item, name)
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
            plugin.problems.append(f"{clash}; write one of {', '.join(_qualified(name, taken))}")

    def remove(self, distribution: str, kind: str, name: str) -> None:
        """Take one registered name back."""
        left = [e for e in self._entries[kind].pop(name, []) if e[0].distribution != distribution]
        if left:
            self._entries[kind][name] = left

    def items(self, kind: str) -> dict[str, Any]:
        """All registered objects of a kind by name; shared names as ``distribution:name``."""
        found: dict[str, Any] = {}
        for name, taken in sorted(self._entries[kind].items()):
            labels = [name] if len(taken) == 1 else _qualified(name, taken)
            found.update(zip(labels, (item for _, item in taken), strict=True))
        return found

    def find(self, kind: str, name: str) -> Any:
        """The object registered under ``name`` or ``distribution:name``.

        Raises:
            UnknownName: with the known and the near names.
            PluginError: if the plugin of that name is broken, or two plugins claim it.
        """
        return self._entry(kind, name)[1]

    def provider(self, kind: str, name: str) -> Plugin:
        """The plugin that :meth:`find` would take ``name`` from."""
        return self._entry(kind, name)[0]

    def _entry(self, kind: str, name: str) -> tuple[Plugin, Any]:
        distribution, _, bare = name.rpartition(":")
        taken = self._entries[kind].get(bare, [])
        if distribution:
            taken = [entry for entry in taken if entry[0].distribution == distribution]
        if len(taken) == 1:
            return taken[0]
        if taken:
            raise PluginError(
                f"{kind} {bare!r} is provided by {len(taken)} plugins; "
                f"write {' or '.join(_qualified(bare, taken))}"
            )
        if (kind, bare) in self._rejected:
            raise PluginError(f"{kind} {bare!r} cannot be used: {self._rejected[kind, bare]}")
        broken = [p for p in self.plugins if p.problems]
        for plugin in broken:
            if bare in (plugin.name, plugin.distribution.removeprefix("relaxit-")):
                raise PluginError(f"{kind} {bare!r}: plugin {plugin}: {plugin.problems[0]}")
        hint = "".join(f" Plugin {p} is broken: {p.problems[0]}." for p in broken)
        raise UnknownName(kind, name, self.items(kind), hint.strip())

    def require_sound(self) -> None:
        """Make any recorded problem fatal (``--strict-plugins``, for CI).

        Raises:
            PluginError: naming the first broken plugin.
        """
        for plugin in self.plugins:
            if plugin.problems:
                raise PluginError(f"plugin {plugin}: {plugin.problems[0]}")


@cache
def default() -> Registry:
    """The registry of the installed plugins, loaded at the first call."""
    return Registry()


def get(name: str, /, **options: Any) -> Relaxation:
    """A relaxation by name.

    Args:
        name: registered name, or ``distribution:name``.
        options: fields of its options model.

    Raises:
        UnknownName: listing the known and the near names.
        PluginError: if the name is claimed twice or its plugin is broken.
        ConfigurationError: if an option is missing, unknown or illegal.

    Example:
        >>> import relaxit
        >>> relaxit.get("categorical", categories=10)
        Categorical(categories=10)
    """
    relaxation: Relaxation = default().find("relaxation", name)(**options)
    return relaxation


def estimator(name: str, /, **options: Any) -> Estimator:
    """A gradient estimator by name. Arguments and errors as for :func:`get`.

    Example:
        >>> import relaxit
        >>> relaxit.estimator("straight-through")
        StraightThrough()
    """
    found: Estimator = default().find("estimator", name)(**options)
    return found


def relaxations() -> dict[str, type[Relaxation]]:
    """All registered relaxation classes by name.

    Example:
        >>> import relaxit
        >>> sorted(relaxit.relaxations())
        ['binary', 'categorical']
    """
    return default().items("relaxation")


def register(cls: C) -> C:
    """Register a class of this process (a notebook, a test); usable as a decorator.

    Raises:
        PluginError: if the class does not keep the contract, or the session has that name already.
    """
    registry = default()
    kind = getattr(cls, "kind", "relaxation")
    name = getattr(cls, "name", "")
    problem = defect(kind, cls, name)
    if not problem and name in registry.items(kind):
        taken_by = registry.provider(kind, name).distribution
        problem = f"{kind} {name!r} is registered already, by {taken_by}"
    if problem:  # found before anything was entered, so nothing is left behind
        raise PluginError(problem)
    plugin = Plugin(SESSION, SESSION, "", cls.__module__)
    registry._enter(plugin, kind, cls)
    registry.plugins.append(plugin)
    return cls


def unregister(cls: type[Configured]) -> None:
    """Undo :func:`register`."""
    registry = default()
    registry.remove(SESSION, cls.kind, cls.name)
    registry.plugins = [
        p
        for p in registry.plugins
        if not (p.distribution == SESSION and cls.name in p.provides.get(cls.kind, ()))
    ]


def _names(env: Any, key: str) -> set[str]:
    return {part.strip() for part in env.get(key, "").split(",") if part.strip()}


def _qualified(name: str, taken: list[tuple[Plugin, Any]]) -> list[str]:
    return [f"{plugin.distribution}:{name}" for plugin, _ in taken]


def _ours_first(points: Iterable[metadata.EntryPoint]) -> list[metadata.EntryPoint]:
    return sorted(points, key=lambda p: (Plugin.of(p).distribution != OWN_DISTRIBUTION, p.name))


def _unmarked(module: Any, manager: pluggy.PluginManager) -> Iterator[str]:
    """Functions that look like hooks but were not marked as such."""
    for name, value in vars(module).items():
        named_so = name.startswith("relaxit_") and inspect.isfunction(value)
        if named_so and manager.parse_hookimpl_opts(module, name) is None:
            yield name
