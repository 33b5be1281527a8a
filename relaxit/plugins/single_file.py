"""A single Python file as a plugin: read, run, and asked what it offers.

The content is compiled anew each time: no cached bytecode, which goes by time stamps, can stand for
a file that has just been edited, and none is written beside it. The hash is of what was run.
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
    "recipe": "recipes of a file are not looked up; give --recipe the TOML file",
    "command": "commands of a file are not run; install the plugin as a package",
}


def target_of(path: str | Path) -> Path:
    """The absolute path of a plugin file, under the name that the user gave it."""
    path = Path(path)
    return path.parent.resolve() / path.name


def read(path: str | Path) -> tuple[PluginRecord, list[Item]]:
    """Run a plugin file.

    Returns:
        Its record, and the relaxations, estimators, data sets and tasks it offers, each with its
        kind.

    Raises:
        PluginError: if there is anything wrong with it.
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
    """The content of a file that may be a plugin."""
    path = Path(path)
    if path.suffix != ".py":
        raise PluginError(f"plugin file {path} is no Python file: its name does not end in .py")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PluginError(f"plugin file {path} is not there") from error
    except OSError as error:
        raise PluginError(f"plugin file {path} cannot be read: {error.strerror}") from error


@contextlib.contextmanager
def _module(target: Path) -> Iterator[ModuleType]:
    """A fresh module in ``sys.modules``; the former one is put back if the block raises.

    It is there for whatever looks modules up by name, pickle say. The name bears a hash of the
    path, so that it can hide no installed module nor another plugin file.
    """
    stem = re.sub(r"\W", "_", target.stem)
    name = f"relaxit_file_{stem}_{hashlib.sha256(str(target).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, target)
    assert spec is not None  # it is for every name that ends in .py
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
    """What the file registers while it runs and what its hooks return, each object once."""
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
    """What to do where a module that lies beside the file was not found."""
    directory, missing = Path(plugin.target).parent, getattr(plugin.error, "name", None)
    if not isinstance(plugin.error, ModuleNotFoundError) or not missing:
        return []
    if not (directory / f"{missing}.py").is_file() and not (directory / missing).is_dir():
        return []
    return [f"its folder is not searched for modules; set PYTHONPATH={directory} or make a package"]


def _defects(items: list[Item]) -> list[str]:
    """What keeps objects of one file from being registered."""
    found, seen = [], set()
    for kind, item in items:
        name = registered_name(kind, item)
        problem = registration_problem(kind, item, name)
        if not problem and (kind, name) in seen:
            problem = f"{kind} {name!r} stands in it twice"
        if problem:
            found.append(problem)
        else:
            seen.add((kind, name))
    return found
