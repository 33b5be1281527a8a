"""The console script, which is outside the package on purpose.

An unrelated distribution named ``relaxit`` installs files into the same package directory. If both
are installed, ours may be shadowed or overwritten, so this module, which nothing can shadow, looks
for that distribution first and says how to fix the installation.
"""

from __future__ import annotations

import os
import sys

CONFLICT = """\
error: the unrelated distribution 'relaxit' {version} is installed and overwrites files of this
project (relaxit-framework). Fix it with
    pip uninstall relaxit
    pip install --force-reinstall --no-deps PATH
where PATH is your checkout or wheel of relaxit-framework."""


def conflict() -> str:
    """Return how to fix a clash with the other distribution; empty if it is not installed."""
    if not any(map(_may_hold_it, sys.path)):
        return ""
    from importlib import metadata

    try:
        return CONFLICT.format(version=metadata.version("relaxit"))
    except metadata.PackageNotFoundError:
        return ""


def _may_hold_it(directory: str) -> bool:
    """Whether a directory may contain the metadata of a ``relaxit`` distribution.

    importlib.metadata is certain, but takes a tenth of the time of ``relaxit --help``.
    """
    try:
        names = os.listdir(directory or ".")
    except NotADirectoryError:
        return True  # an archive, which cannot be listed
    except OSError:
        return False
    return any(name.lower().startswith(("relaxit-", "relaxit.")) for name in names)


def main() -> None:
    """Start the command line, unless the other distribution is installed."""
    clash = conflict()
    if clash and sys.argv[1:2] != ["doctor"]:
        print(clash, file=sys.stderr)
        sys.exit(2)
    try:
        from relaxit.cli import main as start
    except ImportError:
        if not clash:
            raise
        print(clash, file=sys.stderr)
        sys.exit(2)
    start()
