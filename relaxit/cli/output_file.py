"""A file that cannot be written is refused before anything is computed."""

from __future__ import annotations

from pathlib import Path

from relaxit.errors import ConfigurationError

__all__ = ["require_writable"]


def require_writable(flag: str, path: Path | None, make_directory: bool = False) -> None:
    """Refuse what would otherwise be noticed after minutes of work.

    Args:
        flag: that names the file.
        path: of the file; nothing is to be written if None.
        make_directory: whether folders that are missing will be made.

    Raises:
        ConfigurationError: if it is a folder, or in one that is missing and will not be made.
        CheckpointError: if the disk refuses.

    Example:
        >>> require_writable("--out", Path())
        Traceback (most recent call last):
        relaxit.errors.ConfigurationError: --out . must be a file in a folder that exists
    """
    from relaxit.files import check_writable

    if path is None:
        return
    if path.is_dir() or not (make_directory or path.absolute().parent.is_dir()):
        where = "" if make_directory else " in a folder that exists"
        raise ConfigurationError(f"{flag} {path} must be a file{where}")
    check_writable(path)
