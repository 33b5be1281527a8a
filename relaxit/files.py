"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from relaxit.errors import CheckpointError

__all__ = ["check_writable", "write_atomically"]


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a temporary file beside ``path``, then put it in place in one step.

    A reader, or a crash, sees the old file or the new one, never a part.

    Raises:
        CheckpointError: if the disk refuses, with the path and the reason. The old file stays.
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
    """Try whether :func:`write_atomically` would succeed, once the folders that are missing are
    made.

    Only a trial tells: the permissions of a folder do not bind everyone, nor say everything.
    Nothing is left behind.

    Raises:
        CheckpointError: with the path and the reason.
    """
    try:
        directory = next(each for each in path.absolute().parents if each.exists())
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
