"""The pages of the documentation, and the fenced blocks of a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# By a build of the documentation.
GENERATED = {"_build", "commands.md", "gallery", "jupyter_execute"}
PAGES = [
    ROOT / "README.md",
    *sorted(p for p in DOCS.rglob("*.md") if not GENERATED & set(p.relative_to(DOCS).parts)),
]
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)


def page_of(name: str) -> Path:
    """The page with this name, on whichever shelf it is."""
    (path,) = (p for p in PAGES if p.stem == name)
    return path


class Block(NamedTuple):
    language: str
    code: str
    line: int  # of the first line of code, from 1
    skipped: bool


def blocks(text: str) -> Iterator[Block]:
    """Fenced blocks; skipped if the last line with text before the fence is <!-- not run -->."""
    lines, before, position = text.splitlines(), "", 0
    while position < len(lines):
        fence = re.fullmatch(r"(\s*)(```+)\s*([\w{}-]*).*", lines[position])
        if not fence:
            before = lines[position].strip() or before
            position += 1
            continue
        indent, ticks, language = fence.groups()
        end = position + 1
        while end < len(lines) and lines[end].strip() != ticks:
            end += 1
        assert end < len(lines), f"the block of line {position + 1} is never closed"
        code = "\n".join(line.removeprefix(indent) for line in lines[position + 1 : end]) + "\n"
        yield Block(language, code, position + 2, before == "<!-- not run -->")
        before, position = "", end + 1
