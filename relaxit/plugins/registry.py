"""Load plugins, each in isolation, and look up objects by name.

Entry points are loaded one at a time. A problem with one of them (it cannot be imported, a hook has
a wrong signature or a misspelt name, a class was written for another version of the contract) is
recorded on its :class:`PluginRecord`, shown by ``relaxit plugins`` and named when a look-up fails.
It never stops the others, and it is never silent.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from relaxit.errors import PluginError
from relaxit.estimators import Estimator
from relaxit.options import Configured
from relaxit.plugins import single_file
from relaxit.plugins.discovery import discover
from relaxit.plugins.loader import call_hooks, collect, collecting, contain_errors
from relaxit.plugins.name_table import NameTable
from relaxit.plugins.record import PluginRecord, registration_problem
from relaxit.relaxation import Relaxation

__all__ = [
    "PluginRecord",
    "Registry",
    "default_registry",
    "estimator",
    "get",
    "load_file",
    "register",
    "relaxations",
    "unload_file",
    "unregister",
]

SESSION = "session"
C = TypeVar("C", bound=type[Configured])


class Registry(NameTable):
    """Relaxations, estimators, data sets, tasks and so on by name, with the plugins they come from.

    Args:
        entry_points: entry points to load; those of the group ``relaxit.plugins`` if None.
        environ: environment variables, with ``RELAXIT_PLUGINS`` (comma-separated names to load
            besides the built-in ones, or ``none``) and ``RELAXIT_DISABLE_PLUGINS``;
            ``os.environ`` if None.
    """

    def __init__(
        self,
        entry_points: Iterable[metadata.EntryPoint] | None = None,
        environ: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        for plugin, point in discover(entry_points, os.environ if environ is None else environ):
            if plugin.disabled:
                self.plugins.append(plugin)
            else:
                self._load(plugin, point)

    def _load(self, plugin: PluginRecord, point: metadata.EntryPoint) -> None:
        with collecting() as registered, contain_errors(plugin, "import failed:", "on import"):
            module = point.load()
        for _, item in registered:  # runs at the first import only, when there may be no registry
            plugin.problems.append(
                f"registers {item!r} on import; an installed plugin returns it from a hook"
            )
        if plugin.error:
            self.plugins.append(plugin)
        else:
            self.add(plugin, module)

    def add(self, plugin: PluginRecord, module: Any) -> None:
        """Call the hooks of ``module`` and register the returned objects under ``plugin``."""
        self.plugins.append(plugin)
        for kind, item in call_hooks(plugin, module):
            self.enter(plugin, kind, item)

    def load_file(self, path: str | Path) -> PluginRecord:
        """Load a plugin file into this registry, as :func:`load_file` does."""
        target = single_file.target_of(path)
        for other in self.plugins:
            if other.distribution == target.name and other.target != str(target):
                raise PluginError(
                    f"plugin file {path}: the name {target.name} is taken by {other.target}; "
                    "rename the file"
                )
        plugin, items = single_file.read(path)
        self.unload_file(path)  # if it was loaded before
        self.plugins.append(plugin)
        for kind, item in items:
            self.enter(plugin, kind, item)
        return plugin

    def unload_file(self, path: str | Path) -> None:
        """Remove a plugin file from this registry, as :func:`unload_file` does."""
        target = str(single_file.target_of(path))
        for plugin in [p for p in self.plugins if p.sha256 and p.target == target]:
            self.plugins.remove(plugin)
            for kind, names in plugin.provides.items():
                for name in names:
                    self.remove(plugin.distribution, kind, name)

    def require_sound(self) -> None:
        """Raise if any plugin has a problem (``--strict-plugins``, for CI).

        Raises:
            PluginError: naming the first broken plugin.
        """
        for plugin in self.plugins:
            if plugin.problems:
                raise PluginError(f"plugin {plugin}: {plugin.problems[0]}")


@cache
def default_registry() -> Registry:
    """Return the registry of the installed plugins, which the first call loads."""
    return Registry()


def get(name: str, /, **options: Any) -> Relaxation:
    """Return a relaxation by name.

    Args:
        name: registered name, or ``distribution:name``.
        options: fields of its options model.

    Raises:
        UnknownName: if there is no such relaxation; lists the known and the similar names.
        PluginError: if the name is claimed twice or its plugin is broken.
        ConfigurationError: if an option is missing, unknown or illegal.

    Example:
        >>> import relaxit
        >>> relaxit.get("categorical", categories=10)
        Categorical(categories=10)
    """
    relaxation: Relaxation = default_registry().find("relaxation", name)(**options)
    return relaxation


def estimator(name: str, /, **options: Any) -> Estimator:
    """Return a gradient estimator by name. Arguments and errors are those of :func:`get`.

    Example:
        >>> import relaxit
        >>> relaxit.estimator("straight-through")
        StraightThrough()
    """
    built: Estimator = default_registry().find("estimator", name)(**options)
    return built


def relaxations() -> dict[str, type[Relaxation]]:
    """Return all registered relaxation classes by name.

    Example:
        >>> import relaxit
        >>> {"binary", "categorical"} <= set(relaxit.relaxations())
        True
    """
    return default_registry().items("relaxation")


def register(cls: C) -> C:
    """Register a class of this process (a notebook, a test); can be used as a decorator.

    In a file that is loaded as a plugin, the class is registered under that file.

    Raises:
        PluginError: if the class does not fulfil the contract, or its name is already registered.
    """
    kind = getattr(cls, "kind", "relaxation")
    if collect(kind, cls):  # the plugin that is being loaded registers it
        return cls
    registry = default_registry()
    name = getattr(cls, "name", "")
    problem = registration_problem(kind, cls, name)
    if not problem and name in registry.items(kind):
        taken_by = registry.provider(kind, name).distribution
        problem = f"{kind} {name!r} is already registered by {taken_by}"
    if problem:  # raised before anything is registered
        raise PluginError(problem)
    plugin = PluginRecord(SESSION, SESSION, "", cls.__module__)
    registry.enter(plugin, kind, cls)
    registry.plugins.append(plugin)
    return cls


def unregister(cls: type[Configured]) -> None:
    """Undo :func:`register`."""
    registry = default_registry()
    registry.remove(SESSION, cls.kind, cls.name)
    registry.plugins = [
        p
        for p in registry.plugins
        if not (p.distribution == SESSION and cls.name in p.provides.get(cls.kind, ()))
    ]


def load_file(path: str | Path) -> PluginRecord:
    """Load one Python file as a plugin, as ``--plugin FILE`` does for one command.

    The file contains hooks, or classes decorated with :func:`register`. A file that was loaded
    before is loaded again. Its names may also be written ``FILE.py:name``.

    Raises:
        PluginError: if the file has a problem; the registry is then unchanged. A name that another
            plugin provides too is an error only when it is looked up without the plugin.

    Example:
        >>> import pathlib, tempfile
        >>> directory = tempfile.TemporaryDirectory()
        >>> path = pathlib.Path(directory.name, "my_estimator.py")
        >>> _ = path.write_text('''
        ... import relaxit
        ... from relaxit.estimators import Pathwise
        ...
        ... @relaxit.register
        ... class Mine(Pathwise):
        ...     api, name = 1, "mine"
        ... ''')
        >>> load_file(path).provides
        {'estimator': ['mine']}
        >>> estimator("mine")
        Mine()
        >>> unload_file(path)
        >>> directory.cleanup()
    """
    return default_registry().load_file(path)


def unload_file(path: str | Path) -> None:
    """Undo :func:`load_file`; does nothing if the file is not loaded."""
    default_registry().unload_file(path)
