"""A short text that changes whenever an installed plugin may have changed.

What ``relaxit list`` prints follows from the installed plugins alone, but asking them imports
PyTorch. With a fingerprint of the plugins, the answer can be kept and printed again
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
    """A hash over the installed plugins, their versions and, if they are editable, their files.

    Nothing is imported. A distribution that was installed from a wheel counts as changed if its
    version or its metadata directory changed; an editable one if any of its Python files did.

    Args:
        points: entry points of the plugins; the installed ones of our group if None.
        environ: where the settings that turn plugins off are read.

    Example:
        >>> plugins_fingerprint(points=[]) == plugins_fingerprint(points=[])
        True
    """
    if points is None:
        points = metadata.entry_points(group=ENTRY_POINT_GROUP)
    facts = [sys.version, *(environ.get(name, "") for name in _SETTINGS)]
    facts += sorted(line for point in points for line in _facts(point))
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]


def _facts(point: metadata.EntryPoint) -> Iterator[str]:
    dist = point.dist
    yield f"{point.name} {point.value} {dist.name if dist else ''} {dist.version if dist else ''}"
    top = point.module.partition(".")[0]
    spec = util.find_spec(top)
    if spec is None or spec.origin is None:
        yield f"{top} is not there"
        return
    # Files that pip has copied change together with the list of them.
    record = None if dist is None or _is_editable(dist) else dist.locate_file(_record(dist))
    origin = Path(spec.origin)
    files = [Path(str(record))] if record else _python_files(origin)
    for path in files:
        try:
            stat = path.stat()
        except OSError:
            continue
        yield f"{path} {stat.st_mtime_ns} {stat.st_size}"


def _python_files(origin: Path) -> list[Path]:
    """The code and recipes of a package, or the one file of a module."""
    if origin.name != "__init__.py":
        return [origin]
    return sorted(path for path in origin.parent.rglob("*") if path.suffix in (".py", ".toml"))


def _is_editable(dist: metadata.Distribution) -> bool:
    """Whether the files may change without a new installation; yes if nobody says."""
    if not dist.files:
        return True
    return "editable" in (dist.read_text("direct_url.json") or "")


def _record(dist: metadata.Distribution) -> str:
    """Path of the list of installed files."""
    return next((str(path) for path in dist.files or () if path.name == "RECORD"), "RECORD")
