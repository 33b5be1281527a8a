"""The page, in Markdown of 80 columns, made from the JSON alone."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

WIDTH = 80

Show = Callable[[dict[str, Any]], Iterator[str]]


def page(document: Mapping[str, Any], shows: Mapping[str, Show]) -> str:
    """Return the page.

    Args:
        document: content of the JSON.
        shows: functions by part name that yield the paragraphs about its results.
    """
    parts = document["parts"]
    blocks = [
        *head(document),
        *("## What failed", bullets(parts, "failures", "`{what}`: `{why}`")),
        *("## What was cut, and why", bullets(parts, "cuts", "{part}: {what}: {why}")),
    ]
    for part in parts:
        blocks += [f"## {part['title']}", *map(wrap, part["notes"])]
        blocks += shows[part["name"]](part["figures"]) if part["figures"] else ["No figures."]
    return "\n\n".join(filter(None, blocks)) + "\n"


def head(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was run where, and a table of the parts."""
    facts = document["facts"]
    yield "# GPU check" + (", dry: on the CPU" if document["dry"] else "")
    yield wrap(
        f"{facts['date'][:10]}, {facts.get('device', 'CPU')}, torch {facts['torch']}, revision "
        f"{facts['revision']}, {document['minutes']:g} minutes at most, data: {document['data']}. "
        f"State: {document['state']}."
    )
    if document["dry"]:
        yield wrap("Sizes are tiny and the device is the CPU: no figure here means much.")
    rows = [
        [
            *(part["title"], part["outcome"], f"{part['seconds']:.0f}", f"{part['share']:.0f}"),
            *(str(len(part["failures"])), str(len(part["cuts"]))),
        ]
        for part in document["parts"]
    ]
    yield table(["part", "outcome", "s", "at most", "failures", "cuts"], rows, left=2)


def bullets(parts: Sequence[Mapping[str, Any]], key: str, form: str) -> str:
    """Return the failures or cuts of all parts as a list."""
    return (
        items(
            form.format(part=part["title"], **{k: plain(text) for k, text in each.items()})
            for part in parts
            for each in part[key]
        )
        or "Nothing."
    )


def plain(text: str) -> str:
    """Return text that may stand between backticks."""
    return text.replace("`", "'")


def items(lines: Iterable[str]) -> str:
    """Return a list in Markdown."""
    return "\n".join(wrap(line, "- ") for line in lines)


def wrap(text: str, start: str = "") -> str:
    """Return a paragraph or a list item in lines that fit."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )


def number(value: float | None, factor: float = 1.0) -> str:
    """Format with three digits, in at most six characters unless very small or very large."""
    if value is None:
        return "-"
    scaled = value * factor
    size = abs(scaled)
    if size and not 1e-3 <= size < 1e6:
        return f"{scaled:.1e}".replace("e-0", "e-").replace("e+0", "e")
    if size >= 1000:
        return f"{scaled:.0f}"
    return f"{scaled:.4f}" if 0 < size < 0.01 else f"{scaled:.3g}"


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: int = 1,
    drop_empty: bool = False,
) -> str:
    """Return an aligned table in Markdown, with the first column shortened so that it fits.

    Args:
        heads: headings of the columns.
        rows: rows of the table; without any, the result is empty.
        left: number of columns with words, which are aligned to the left.
        drop_empty: whether to leave out columns without any value.
    """
    if not rows:
        return ""
    first, *others = (
        [cell.replace("|", "/") for cell in column] for column in zip(heads, *rows, strict=True)
    )
    if drop_empty:
        others = [column for column in others if any(cell != "-" for cell in column[1:])]
    rest = sum(max(3, *map(len, column)) + 3 for column in others)
    columns = [[shortened(cell, WIDTH - 4 - rest) for cell in first], *others]
    lines = zip(*(aligned(column, n < left) for n, column in enumerate(columns)), strict=True)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def aligned(column: Sequence[str], left: bool) -> list[str]:
    """Return cells of one width, with a rule below the first."""
    width = max(3, *map(len, column))
    head, *body = (cell.ljust(width) if left else cell.rjust(width) for cell in column)
    return [head, "-" * width if left else "-" * (width - 1) + ":", *body]


def shortened(text: str, width: int) -> str:
    """Return text of at most ``width`` characters, or ten if that is less."""
    width = max(10, width)
    return text if len(text) <= width else text[: width - 3] + "..."
