"""Run a plugin's code, import and hooks, recording failures and keeping output off stdout."""

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
    "relaxit_functions": "function",
    "relaxit_datasets": "dataset",
    "relaxit_tasks": "task",
    "relaxit_recipes": "recipe",
    "relaxit_benchmarks": "benchmark",
    "relaxit_gradient_problems": "problem",
    "relaxit_commands": "command",
}
"""The hooks, each with the kind of the objects that it returns."""
Item = tuple[str, Any]
"""An object that a plugin offers, with its kind."""
_collected: ContextVar[list[Item] | None] = ContextVar("_collected", default=None)


class _Diverted:
    """A substitute for stdout that writes to stderr and counts the characters."""

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
    """Run a plugin's code in a context in which it cannot end the program or spoil ``--json``.

    Args:
        plugin: record that gets a problem if the code raises and a remark if it prints.
        failure: beginning of the problem, such as "import failed:".
        when: end of the remark, such as "on import".
    """
    stdout = _Diverted()
    try:
        with contextlib.redirect_stdout(stdout):
            yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a plugin must not end the program
        plugin.error = error
        plugin.problems.append(f"{failure} {type(error).__name__}: {error}")
    finally:
        if stdout.characters:
            plugin.remarks.append(f"printed {stdout.characters} characters to stdout {when}")


@contextlib.contextmanager
def collecting() -> Iterator[list[Item]]:
    """Collect the objects that ``relaxit.register`` receives while a plugin is loaded."""
    items: list[Item] = []
    token = _collected.set(items)
    try:
        yield items
    finally:
        _collected.reset(token)


def collect(kind: str, item: Any) -> bool:
    """Store an object for the plugin that is being loaded; return False if none is."""
    items = _collected.get()
    if items is None:
        return False
    items.append((kind, item))
    return True


def call_hooks(plugin: PluginRecord, module: Any) -> list[Item]:
    """Return what the hooks of a module return, with kinds; problems are recorded on ``plugin``."""
    if not hasattr(module, "__dict__"):  # a list or None, which cannot hold hooks
        plugin.problems.append(f"names a {type(module).__name__}, not a module with hooks")
        return []
    manager = pluggy.PluginManager("relaxit")  # a separate one: a bad module leaves no trace
    manager.add_hookspecs(specs)
    try:
        manager.register(module)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        plugin.problems.append(one_line(error))
    for name in _unmarked(module, manager):
        plugin.problems.append(f"{name} is not marked with @relaxit.hookimpl, so it is not a hook")
    items: list[Item] = []
    for hook, kind in HOOKS.items():
        with contain_errors(plugin, f"{hook} raised", f"in {hook}"):
            results = getattr(manager.hook, hook)()
            items += [(kind, item) for result in results for item in result]  # may not be a list
    return items


def _unmarked(module: Any, manager: pluggy.PluginManager) -> Iterator[str]:
    """Yield the names of functions that look like hooks but are not marked as such."""
    for name, value in vars(module).items():
        named_so = name.startswith("relaxit_") and inspect.isfunction(value)
        if named_so and manager.parse_hookimpl_opts(module, name) is None:
            yield name
