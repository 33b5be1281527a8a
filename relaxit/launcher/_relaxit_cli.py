"""The console script. It lives outside the package on purpose.

An unrelated distribution named ``relaxit`` installs files into the same package folder. Where both
are installed ours may be shadowed or overwritten, so this module, which nothing can shadow, looks
for that distribution first and says how to mend it.
"""

from __future__ import annotations

import os
import sys

CONFLICT = """\
error: the unrelated distribution 'relaxit' {version} is installed and overwrites files of this
project (relaxit-framework). Mend it with
    pip uninstall relaxit
    pip install --force-reinstall --no-deps PATH
where PATH is your checkout or wheel of relaxit-framework."""


def conflict() -> str:
    """How to mend a clash with the other distribution; empty if it is not installed."""
    if not any(map(_may_hold_it, sys.path)):
        return ""
    from importlib import metadata

    try:
        return CONFLICT.format(version=metadata.version("relaxit"))
    except metadata.PackageNotFoundError:
        return ""


def _may_hold_it(directory: str) -> bool:
    """Whether a folder has a record of some ``relaxit``, or cannot be looked into.

    importlib.metadata knows for sure, but takes a tenth of the time of ``relaxit --help``.
    """
    try:
        names = os.listdir(directory or ".")
    except NotADirectoryError:
        return True  # an archive
    except OSError:
        return False
    return any(name.lower().startswith(("relaxit-", "relaxit.")) for name in names)


def main() -> None:
    """Start the command line, unless the other distribution is in the way."""
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
