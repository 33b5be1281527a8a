"""Files that the user names: found in the data directory, opened, and read as text."""

from __future__ import annotations

import difflib
import gzip
import io
from pathlib import Path

from relaxit.errors import DataError, error_summary

__all__ = ["find_file", "read_text"]


def find_file(name: str, directory: Path) -> Path:
    """Return the path of a file, below the data directory or else as it is given.

    Raises:
        DataError: if it is not a file; names similar files beside it.

    Example:
        >>> find_file("table.csv", Path("no-such-directory"))
        Traceback (most recent call last):
        relaxit.errors.DataError: no-such-directory/table.csv does not exist; files are looked \
for in --data-dir, then in the current directory
    """
    path = directory / Path(name).expanduser()
    for found in (path, Path(name).expanduser()):
        if found.is_file():
            return found
    if path.exists():
        raise DataError(f"{path} is not a file; give the name of the file itself")
    beside = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=3, cutoff=0.6)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    raise DataError(
        f"{path} does not exist{hint}; files are looked for in --data-dir, then in the current "
        "directory"
    )


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file; that of ``.gz`` files is decompressed.

    Line ends are newlines, and a byte order mark is left out.

    Raises:
        DataError: if it cannot be read, is not UTF-8, or is empty.
    """
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if path.suffix.lower() == ".gz" else raw
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path} is not UTF-8 text: byte {error.object[error.start]:#04x} in line {line}; "
            "convert it to UTF-8"
        ) from error
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error_summary(error)}") from error
    if not text.strip():
        raise DataError(f"{path} is empty")
    return io.StringIO(text, newline=None).getvalue()
