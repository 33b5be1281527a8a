"""Runs a plugin's code: import and hooks, with failures recorded and output kept off stdout."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import pluggy

from relaxit.errors import one_line
from relaxit.plugins import specs
from relaxit.plugins.record import PluginRecord

__all__ = ["HOOKS", "Item", "call_hooks", "collect", "collecting", "contain_errors"]

HOOKS = {
    "relaxit_relaxations": "relaxation",
    "relaxit_estimators": "estimator",
    "relaxit_datasets": "dataset",
    "relaxit_tasks": "task",
    "relaxit_recipes": "recipe",
    "relaxit_benchmarks": "benchmark",
    "relaxit_gradient_problems": "problem",
    "relaxit_commands": "command",
}
"""Hooks, and the kind of what each returns."""
Item = tuple[str, Any]
"""An object that a plugin offers, with its kind."""
_collected: ContextVar[list[Item] | None] = ContextVar("_collected", default=None)


class _Diverted:
    """Stands for stdout: what is written goes to stderr, and is counted."""

    def __init__(self) -> None:
        self.stream = sys.stderr
        self.characters = 0

    def write(self, text: str) -> int:
        self.characters += len(text)
        return self.stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def contain_errors(plugin: PluginRecord, failure: str, when: str) -> Iterator[None]:
    """Context for a plugin's own code: nothing it does ends the program or spoils ``--json``.

    Args:
        plugin: gets a problem if the code raises, a remark if it prints.
        failure: how the problem begins, "import failed:".
        when: how the remark ends, "on import".
    """
    stdout = _Diverted()
    try:
        with contextlib.redirect_stdout(stdout):
            yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: one plugin may not end the program
        plugin.error = error
        plugin.problems.append(f"{failure} {type(error).__name__}: {error}")
    finally:
        if stdout.characters:
            plugin.remarks.append(f"printed {stdout.characters} characters to stdout {when}")


@contextlib.contextmanager
def collecting() -> Iterator[list[Item]]:
    """Context in which ``relaxit.register`` leaves its objects to the plugin that is loaded."""
    items: list[Item] = []
    token = _collected.set(items)
    try:
        yield items
    finally:
        _collected.reset(token)


def collect(kind: str, item: Any) -> bool:
    """Keep an object for the plugin that is being loaded; False if none is."""
    items = _collected.get()
    if items is None:
        return False
    items.append((kind, item))
    return True


def call_hooks(plugin: PluginRecord, module: Any) -> list[Item]:
    """What the hooks of a module return, each item with its kind; problems go to ``plugin``."""
    if not hasattr(module, "__dict__"):  # a list, None: no place for hooks
        plugin.problems.append(f"names a {type(module).__name__}, not a module with hooks")
        return []
    manager = pluggy.PluginManager("relaxit")  # of its own: a bad one leaves no trace
    manager.add_hookspecs(specs)
    try:
        manager.register(module)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        plugin.problems.append(one_line(error))
    for name in _unmarked(module, manager):
        plugin.problems.append(f"{name} is not marked with @relaxit.hookimpl, so not a hook")
    found: list[Item] = []
    for hook, kind in HOOKS.items():
        with contain_errors(plugin, f"{hook} raised", f"in {hook}"):  # a result that is no list too
            results = getattr(manager.hook, hook)()
            found += [(kind, item) for result in results for item in result]
    return found


def _unmarked(module: Any, manager: pluggy.PluginManager) -> Iterator[str]:
    """Functions that look like hooks but were not marked as such."""
    for name, value in vars(module).items():
        named_so = name.startswith("relaxit_") and inspect.isfunction(value)
        if named_so and manager.parse_hookimpl_opts(module, name) is None:
            yield name
