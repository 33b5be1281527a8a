"""Fill in the template and write the package atomically."""

from __future__ import annotations

import os
import re
import shutil
import string
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from relaxit.errors import CheckpointError, ConfigurationError
from relaxit.files import write_atomically
from relaxit.hooks import OWN_DISTRIBUTION
from relaxit.plugins.scaffold.naming import Names

__all__ = ["core_requirement", "new_plugin"]

_TEMPLATE = Path(__file__).parent / "template"
_SUFFIX = ".template"


def new_plugin(name: str, directory: Path | str = ".") -> Path:
    """Write a working plugin package to ``directory/relaxit-NAME``.

    The package can be installed, passes its tests and can be trained as it is.

    Args:
        name: name of its relaxation, lower-case words joined by ``-``.
        directory: existing directory to write the package to.

    Returns:
        The directory of the package.

    Raises:
        ConfigurationError: if the name is invalid or taken, if ``directory`` does not exist, or
            if the package exists already, which is then left unchanged.
        CheckpointError: if the files cannot be written. Nothing is left behind.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     package = new_plugin("row-of-switches", directory)
        ...     package.name, sorted(path.name for path in package.glob("src/*/*.py"))
        ('relaxit-row-of-switches', ['__init__.py', 'distribution.py', 'hooks.py', 'relaxation.py'])
    """
    names = Names.of(name)
    target = Path(directory) / names.distribution
    if not os.path.isdir(directory):
        raise ConfigurationError(f"{directory} is not a directory; create it or choose another one")
    if os.path.lexists(target):
        raise ConfigurationError(f"{target} already exists; choose another directory")
    names.require_free()
    _write(target, _pages(names))
    return target


class _Page(string.Template):
    """``%{key}`` stands for a value. A ``$``, frequent in workflow files, has no meaning."""

    delimiter = "%"


def _pages(names: Names) -> dict[Path, str]:
    """Return the text of each file of the package by its relative path."""
    values = {
        "name": names.name,
        "distribution": names.distribution,
        "module": names.module,
        "class_name": names.class_name,
        "requirement": core_requirement(metadata.version(OWN_DISTRIBUTION)),
    }
    pages = {}
    for source in sorted(_TEMPLATE.rglob(f"*{_SUFFIX}")):
        parts = source.relative_to(_TEMPLATE).with_suffix("").parts
        path = Path(*(names.module if part == "MODULE" else part for part in parts))
        pages[path] = _Page(source.read_text(encoding="utf-8")).substitute(values)
    return pages


def core_requirement(version: str) -> str:
    """Return the versions of relaxit that a plugin requires if it was written with this one.

    Args:
        version: version of relaxit that the plugin was written with.

    Example:
        >>> core_requirement("0.1.3"), core_requirement("1.4.0")
        ('relaxit-framework>=0.1,<0.2', 'relaxit-framework>=1.4,<2')
        >>> core_requirement("0.2.0.dev3+local")  # >=0.2 would leave 0.2.0.dev3 out
        'relaxit-framework>=0.2.0.dev3,<0.3'
    """
    public = version.partition("+")[0]
    major, minor = map(int, re.findall(r"\d+", public)[:2])
    final = re.fullmatch(r"[\d.]+", public)
    least = f"{major}.{minor}" if final else public
    return f"{OWN_DISTRIBUTION}>={least},<{major + 1 if major else f'0.{minor + 1}'}"


def _write(target: Path, pages: Mapping[Path, str]) -> None:
    """Write all files to a hidden directory beside ``target``, then rename that directory."""
    part = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        part.mkdir()
        try:
            for path, text in pages.items():
                (part / path).parent.mkdir(parents=True, exist_ok=True)
                write_atomically(part / path, text)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"cannot write {target}: {error.strerror or error}") from error
