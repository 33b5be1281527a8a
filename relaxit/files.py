"""Files that are written atomically."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from relaxit.errors import CheckpointError

__all__ = ["check_writable", "write_atomically"]


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a temporary file beside ``path`` and move it into place in one step.

    A reader sees the old file or the new one, never a part of it, even after a crash.

    Raises:
        CheckpointError: if the file cannot be written, with the path and the reason; an existing
            file is left unchanged.
    """
    data = content.encode() if isinstance(content, str) else content
    part = _part(path)
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync_directory(path.parent)
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Check that :func:`write_atomically` would succeed once missing directories are created.

    A temporary file is written and removed: the permissions of a directory do not apply to every
    user, and they are not the only reason for a failure.

    Raises:
        CheckpointError: with the path and the reason.
    """
    try:
        directory = next(parent for parent in path.absolute().parents if parent.exists())
        trial = directory / _part(path).name
        with open(trial, "wb"):
            pass
        trial.unlink(missing_ok=True)
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror or error}") from error


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _sync_directory(directory: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
