"""Check that an output file can be written before anything is computed."""

from __future__ import annotations

from pathlib import Path

from relaxit.errors import ConfigurationError

__all__ = ["require_writable"]


def require_writable(flag: str, path: Path | None, make_directory: bool = False) -> None:
    """Raise if a file cannot be written, which would otherwise show after minutes of work.

    Args:
        flag: option that names the file, for the error message.
        path: path of the file; None if no file is to be written.
        make_directory: whether missing directories will be created.

    Raises:
        ConfigurationError: if it is a directory, or in a missing one that will not be created.
        CheckpointError: if the file system does not allow it.

    Example:
        >>> require_writable("--out", Path())
        Traceback (most recent call last):
        relaxit.errors.ConfigurationError: --out . must be a file in an existing directory
    """
    from relaxit.files import check_writable

    if path is None:
        return
    if path.is_dir() or not (make_directory or path.absolute().parent.is_dir()):
        where = "" if make_directory else " in an existing directory"
        raise ConfigurationError(f"{flag} {path} must be a file{where}")
    check_writable(path)
