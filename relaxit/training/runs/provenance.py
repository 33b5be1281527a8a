"""The plugins that a run was trained with, compared with those that are registered now.

Nothing is imported because a run's file names it: the record only tells the user what to provide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from relaxit.errors import PluginError, UnknownName
from relaxit.plugins import default_registry
from relaxit.training.config import RunConfig, VariableConfig

__all__ = ["plugin_changes", "record_plugins", "require_plugins"]


def record_plugins() -> list[dict[str, Any]]:
    """Return every plugin with its version; a plugin file with its name and SHA-256 hash."""
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
    """Check that every plugin name in a run's configuration is registered.

    Raises:
        PluginError: if a name is not registered, with the package to install or the file to pass;
            or if its plugin is broken, or two plugins provide it.
    """
    for kind, name in _names(config):
        try:
            default_registry().provider(kind, name)
        except UnknownName as error:
            source = _source(recorded, kind, name)
            if "file" in source:
                origin, remedy = f"the file {source['file']}", f"add --plugin PATH/{source['file']}"
            else:
                origin = f"{source.get('distribution', '')} {source.get('version', '')}".strip()
                origin, remedy = origin or "an unknown package", "install that plugin"
            raise PluginError(
                f"{run} needs {kind} {name!r}, which came from {origin}: {remedy}"
            ) from error


def plugin_changes(
    config: RunConfig, recorded: Sequence[Mapping[str, Any]], run: Path
) -> list[str]:
    """Return a message for each plugin file whose content has changed since the run."""
    changes = []
    for kind, name in _names(config):
        source, now = _source(recorded, kind, name), default_registry().provider(kind, name)
        if "file" not in source or source.get("sha256") == now.sha256:
            continue
        there = now.source + (f" (sha256 {now.sha256[:12]})" if now.sha256 else "")
        changes.append(
            f"{run} was trained with {kind} {name!r} from {source['file']} "
            f"(sha256 {str(source.get('sha256'))[:12]}), which now comes from {there}"
        )
    return changes


def _names(config: RunConfig) -> Iterator[tuple[str, str]]:
    variables: list[RunConfig | VariableConfig] = [config, *config.variables.values()]
    for variable in variables:
        yield "relaxation", variable.relaxation.name
        yield "estimator", variable.estimator.name
    yield "task", config.task.name
    yield "dataset", config.data.name


def _source(recorded: Sequence[Mapping[str, Any]], kind: str, name: str) -> Mapping[str, Any]:
    """Return the record of the plugin that provided a name; empty if there is none."""
    distribution, _, bare = name.rpartition(":")
    for entry in recorded:
        provided = entry.get("provides", {}).get(kind, ())
        if bare in provided and distribution in ("", entry.get("distribution")):
            return entry
    return {}
