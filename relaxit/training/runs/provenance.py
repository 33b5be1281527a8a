"""Which plugins a run was made with, and whether those at hand are the same.

Nothing is imported because a run's file says so: the record only names what the user must give.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from relaxit.errors import PluginError, UnknownName
from relaxit.plugins import default_registry
from relaxit.training.config import RunConfig

__all__ = ["plugin_changes", "record_plugins", "require_plugins"]


def record_plugins() -> list[dict[str, Any]]:
    """Every plugin with its version; a plugin file with its name and the hash of its content."""
    entries = []
    for plugin in default_registry().plugins:
        entry: dict[str, Any] = {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "state": plugin.state,
            "provides": plugin.provides,
        }
        if plugin.sha256:
            entry |= {"file": Path(plugin.target).name, "sha256": plugin.sha256}
        entries.append(entry)
    return entries


def require_plugins(config: RunConfig, recorded: Sequence[Mapping[str, Any]], run: Path) -> None:
    """Make sure that every name of a run's configuration is registered.

    Raises:
        PluginError: if one is not, with what to install or which file to give; or if its plugin is
            broken, or two plugins claim it.
    """
    for kind, name in _names(config):
        try:
            default_registry().provider(kind, name)
        except UnknownName as error:
            source = _source(recorded, kind, name)
            if "file" in source:
                came, remedy = f"the file {source['file']}", f"add --plugin PATH/{source['file']}"
            else:
                came = f"{source.get('distribution', '')} {source.get('version', '')}".strip()
                came, remedy = came or "an unknown package", "install that plugin"
            raise PluginError(
                f"{run} needs {kind} {name!r}, which came from {came}: {remedy}"
            ) from error


def plugin_changes(
    config: RunConfig, recorded: Sequence[Mapping[str, Any]], run: Path
) -> list[str]:
    """What now comes from another content than the plugin file that a run was trained with."""
    found = []
    for kind, name in _names(config):
        source, now = _source(recorded, kind, name), default_registry().provider(kind, name)
        if "file" not in source or source.get("sha256") == now.sha256:
            continue
        there = now.source + (f" (sha256 {now.sha256[:12]})" if now.sha256 else "")
        found.append(
            f"{run} was trained with {kind} {name!r} from {source['file']} "
            f"(sha256 {str(source.get('sha256'))[:12]}), which now comes from {there}"
        )
    return found


def _names(config: RunConfig) -> Iterator[tuple[str, str]]:
    yield "relaxation", config.relaxation.name
    yield "estimator", config.estimator.name
    yield "task", config.task.name
    yield "dataset", config.data.name


def _source(recorded: Sequence[Mapping[str, Any]], kind: str, name: str) -> Mapping[str, Any]:
    """The record of the plugin that a name came from; empty if it is not known."""
    distribution, _, bare = name.rpartition(":")
    for entry in recorded:
        provided = entry.get("provides", {}).get(kind, ())
        if bare in provided and distribution in ("", entry.get("distribution")):
            return entry
    return {}
