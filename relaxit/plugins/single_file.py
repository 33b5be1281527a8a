"""Load a single Python file as a plugin.

The content is compiled each time: cached bytecode, which is looked up by time stamp, cannot replace
a file that has just been edited, and none is written beside it. The hash is that of the code that
was run.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from relaxit.errors import PluginError
from relaxit.plugins.loader import Item, call_hooks, collecting, contain_errors
from relaxit.plugins.record import PluginRecord, registered_name, registration_problem

__all__ = ["read", "target_of"]

_ELSEWHERE = {
    "recipe": "recipes of a plugin file are not registered; pass the TOML file to --recipe",
    "command": "commands of a plugin file are not registered; install the plugin as a package",
}


def target_of(path: str | Path) -> Path:
    """Return the absolute path of a plugin file; a link keeps its own name."""
    path = Path(path)
    return path.parent.resolve() / path.name


def read(path: str | Path) -> tuple[PluginRecord, list[Item]]:
    """Run a plugin file.

    Returns:
        Its record, and the relaxations, estimators, data sets and tasks that it provides, each with
        its kind.

    Raises:
        PluginError: if the file has a problem.
    """
    target = target_of(path)
    source = _source(path)
    plugin = PluginRecord(target.stem, target.name, "", str(target))
    plugin.sha256 = hashlib.sha256(source).hexdigest()
    with _module(target) as module:
        items = _run(plugin, module, source)
        for kind in _ELSEWHERE.keys() & {kind for kind, _ in items}:
            plugin.remarks.append(_ELSEWHERE[kind])
        items = [(kind, item) for kind, item in items if kind not in _ELSEWHERE]
        plugin.problems += _defects(items)
        if not items and not plugin.problems:
            plugin.problems.append(
                "provides nothing: mark a hook with @relaxit.hookimpl, "
                "or a class with @relaxit.register"
            )
        if plugin.problems:
            raise PluginError(f"plugin file {path}: {'; '.join(plugin.problems)}") from plugin.error
    return plugin, items


def _source(path: str | Path) -> bytes:
    """Return the content of a plugin file."""
    path = Path(path)
    if path.suffix != ".py":
        raise PluginError(f"plugin file {path} is not a Python file: its name does not end in .py")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PluginError(f"plugin file {path} does not exist") from error
    except OSError as error:
        raise PluginError(f"plugin file {path} cannot be read: {error.strerror}") from error


@contextlib.contextmanager
def _module(target: Path) -> Iterator[ModuleType]:
    """Put a new module into ``sys.modules``; the previous one is restored if the block raises.

    It is needed by code that looks modules up by name, such as pickle. The name contains a hash of
    the path, so that it hides neither an installed module nor another plugin file.
    """
    stem = re.sub(r"\W", "_", target.stem)
    name = f"relaxit_file_{stem}_{hashlib.sha256(str(target).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, target)
    assert spec is not None  # exists for every name that ends in .py
    module, former = importlib.util.module_from_spec(spec), sys.modules.get(name)
    sys.modules[name] = module
    try:
        yield module
    except BaseException:
        sys.modules.pop(name, None)
        if former is not None:
            sys.modules[name] = former
        raise


def _run(plugin: PluginRecord, module: ModuleType, source: bytes) -> list[Item]:
    """Return what the file registers when run and what its hooks return, each object once."""
    with collecting() as items, contain_errors(plugin, "import failed:", "on import"):
        exec(compile(source, plugin.target, "exec", dont_inherit=True), module.__dict__)
    if plugin.error:
        plugin.problems += _hint(plugin)
        return []
    for kind, item in call_hooks(plugin, module):
        if all(item is not other for _, other in items):
            items.append((kind, item))
    return items


def _hint(plugin: PluginRecord) -> list[str]:
    """Return advice if a module that lies beside the file could not be imported."""
    directory, missing = Path(plugin.target).parent, getattr(plugin.error, "name", None)
    if not isinstance(plugin.error, ModuleNotFoundError) or not missing:
        return []
    if not (directory / f"{missing}.py").is_file() and not (directory / missing).is_dir():
        return []
    return [f"its directory is not on sys.path; set PYTHONPATH={directory} or make a package"]


def _defects(items: list[Item]) -> list[str]:
    """Return the problems that prevent objects of a file from being registered."""
    problems, seen = [], set()
    for kind, item in items:
        name = registered_name(kind, item)
        problem = registration_problem(kind, item, name)
        if not problem and (kind, name) in seen:
            problem = f"{kind} {name!r} is defined twice"
        if problem:
            problems.append(problem)
        else:
            seen.add((kind, name))
    return problems
