"""Which plugins are installed, and which of them the environment turns off. Imports none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata

from relaxit.hooks import ENTRY_POINT_GROUP, is_own
from relaxit.plugins.record import PluginRecord

__all__ = ["discover"]


def discover(
    points: Iterable[metadata.EntryPoint] | None, environ: Mapping[str, str]
) -> Iterator[tuple[PluginRecord, metadata.EntryPoint]]:
    """Every entry point with its record, our own first; those turned off are marked.

    Args:
        points: entry points to take; the installed ones of our group if None.
        environ: where ``RELAXIT_PLUGINS`` and ``RELAXIT_DISABLE_PLUGINS`` are read.
    """
    if points is None:
        points = metadata.entry_points(group=ENTRY_POINT_GROUP)
    chosen, refused = (
        {part.strip() for part in environ.get(key, "").split(",") if part.strip()}
        for key in ("RELAXIT_PLUGINS", "RELAXIT_DISABLE_PLUGINS")
    )
    pairs = [(PluginRecord.of(point), point) for point in points]
    for plugin, point in sorted(pairs, key=lambda p: (not is_own(p[0].distribution), p[0].name)):
        labels = {plugin.name, plugin.distribution}
        left_out = not is_own(plugin.distribution) and chosen and not labels & chosen
        plugin.disabled = bool(labels & refused or left_out)
        yield plugin, point
