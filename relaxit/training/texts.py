"""Texts in a file: samples and reconstructions of tasks whose examples are text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from relaxit.files import write_atomically

__all__ = ["write_texts"]

_LINE_END = "\N{RETURN SYMBOL}"


def write_texts(texts: Iterable[str], path: Path) -> None:
    r"""Write texts to a file, one per line; a line end within a text is shown as an arrow.

    Raises:
        CheckpointError: if the file cannot be written.

    Example:
        >>> path = getfixture("tmp_path") / "texts.txt"
        >>> write_texts(["one line", "two\nlines"], path)
        >>> print(path.read_text(encoding="utf-8"), end="")
        one line
        two⏎lines
    """
    lines = [text.replace("\n", _LINE_END) for text in texts]
    write_atomically(path, "".join(f"{line}\n" for line in lines))
