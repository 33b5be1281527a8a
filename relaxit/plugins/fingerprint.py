"""A short text that changes whenever an installed plugin may have changed.

The output of ``relaxit list`` depends on the installed plugins alone, but loading them imports
PyTorch. With a fingerprint of the plugins, the output can be cached
(:mod:`relaxit.cli.document_cache`).
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata, util
from pathlib import Path

from relaxit.hooks import ENTRY_POINT_GROUP

__all__ = ["plugins_fingerprint"]

_SETTINGS = ("RELAXIT_PLUGINS", "RELAXIT_DISABLE_PLUGINS")


def plugins_fingerprint(
    points: Iterable[metadata.EntryPoint] | None = None, environ: Mapping[str, str] = os.environ
) -> str:
    """Return a hash of the installed plugins, their versions and their files.

    Nothing is imported. The hash covers the list of installed files of a distribution, or, if it is
    editable, the size and modification time of its code and recipes.

    Args:
        points: entry points of the plugins; the installed ones of our group if None.
        environ: environment variables; those that disable plugins are part of the hash.

    Example:
        >>> plugins_fingerprint(points=[]) == plugins_fingerprint(points=[])
        True
    """
    if points is None:
        points = metadata.entry_points(group=ENTRY_POINT_GROUP)
    facts = [sys.version, _torch_version(), *(environ.get(name, "") for name in _SETTINGS)]
    facts += sorted(line for point in points for line in _facts(point))
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]


def _torch_version() -> str:
    # A plugin may work with one version and not with another.
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return ""


def _facts(point: metadata.EntryPoint) -> Iterator[str]:
    dist = point.dist
    yield f"{point.name} {point.value} {dist.name if dist else ''} {dist.version if dist else ''}"
    record = None if dist is None or _is_editable(dist) else dist.read_text("RECORD")
    if record is not None:  # it holds a hash of each installed file
        yield record
        return
    for path in _files(point.module):
        stat = path.stat()
        yield f"{path} {stat.st_mtime_ns} {stat.st_size}"


def _files(module: str) -> list[Path]:
    """Return the code and recipes of the package that a module belongs to."""
    top, *rest = module.split(".")
    spec = util.find_spec(top)
    if spec is None:
        return []
    if spec.submodule_search_locations is None:  # a single file
        return [Path(spec.origin)] if spec.origin else []
    # Several distributions may share a namespace package, which has no file of its own.
    part = [] if spec.origin else rest[:1]
    return sorted(
        path
        for location in spec.submodule_search_locations
        for path in Path(location, *part).rglob("*")
        if path.suffix in (".py", ".toml")
    )


def _is_editable(dist: metadata.Distribution) -> bool:
    """Whether the files may change without a new installation."""
    return "editable" in (dist.read_text("direct_url.json") or "")
