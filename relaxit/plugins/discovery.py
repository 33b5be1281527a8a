"""Find the installed plugins, and those that the environment disables, without importing them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata

from relaxit.hooks import ENTRY_POINT_GROUP, is_own
from relaxit.plugins.record import PluginRecord

__all__ = ["discover"]


def discover(
    points: Iterable[metadata.EntryPoint] | None, environ: Mapping[str, str]
) -> Iterator[tuple[PluginRecord, metadata.EntryPoint]]:
    """Yield every entry point with its record, built-in ones first; disabled ones are marked.

    Args:
        points: entry points to use; the installed ones of our group if None.
        environ: environment variables, with ``RELAXIT_PLUGINS`` and ``RELAXIT_DISABLE_PLUGINS``.
    """
    if points is None:
        points = metadata.entry_points(group=ENTRY_POINT_GROUP)
    chosen, turned_off = (
        {part.strip() for part in environ.get(key, "").split(",") if part.strip()}
        for key in ("RELAXIT_PLUGINS", "RELAXIT_DISABLE_PLUGINS")
    )
    pairs = [(PluginRecord.of(point), point) for point in points]
    for plugin, point in sorted(pairs, key=lambda p: (not is_own(p[0].distribution), p[0].name)):
        labels = {plugin.name, plugin.distribution}
        left_out = not is_own(plugin.distribution) and chosen and not labels & chosen
        plugin.disabled = bool(labels & turned_off or left_out)
        yield plugin, point
