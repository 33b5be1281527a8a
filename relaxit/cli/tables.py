"""Tables for people: as wide as the terminal, and never a broken word.

One rule for all tables. What fits on the terminal is printed as it is. Else headings are wrapped at
spaces, then prose. If too little is left for the prose of a row, it goes on lines of its own below
the row. If the other columns do not fit either, they are printed in several tables below each
other, which all begin with the first column. A single word that is longer than the terminal stays
in one piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from relaxit.cli.output import console

__all__ = ["print_notes", "print_table", "table_lines", "wrapped"]

_INDENT, _GAP, _BELOW = 2, 2, 6
_LONG = 30  # characters: longer cells with spaces are prose
_NARROWEST = 24  # characters: width below which prose is printed below its row
Row = Sequence[str]


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Row], stderr: bool = False
) -> None:
    """Print a table: to stdout if it is the requested result, as a listing is, else to stderr.

    Args:
        title: title, also of a table without rows, of which it says that there are none.
        columns: headings; without any text, no heading is printed.
        rows: cells of each row.
        stderr: whether to print to stderr.
    """
    from rich.text import Text

    screen = console(stderr)
    if not rows:
        screen.print(Text(f"{title}: none"))
        return
    for line in wrapped(title, screen.width) if title else ():
        screen.print(Text(line, style="bold"))
    for line in table_lines(columns, rows, screen.width):
        screen.print(Text(line))
    screen.print()


def print_notes(*notes: str, indent: int = _INDENT, stderr: bool = False) -> None:
    """Print lines below a table, wrapped at spaces like its prose."""
    from rich.text import Text

    screen = console(stderr)
    for note in notes:
        for line in wrapped(note, screen.width, indent):
            screen.print(Text(line))


def wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    """Wrap a text at its spaces; the lines after the first are indented further.

    Example:
        >>> wrapped("rates: copies 78.8 GB/s", 16, indent=2)
        ['  rates: copies', '    78.8 GB/s']
    """
    return _wrap(text, width, " " * indent, " " * (indent + 2))


def _wrap(text: str, width: int, first: str = "", following: str = "") -> list[str]:
    from rich.cells import cell_len

    lines = [first]
    for word in text.split():
        started = lines[-1] != (first if len(lines) == 1 else following)
        if started and cell_len(lines[-1]) + 1 + cell_len(word) > width:
            lines.append(following + word)
        else:
            lines[-1] += f" {word}" if started else word
    return lines


def table_lines(columns: Sequence[str], rows: Sequence[Row], width: int) -> list[str]:
    """Return the lines of a table.

    Args:
        columns: headings; without any text, there are no lines for headings.
        rows: cells of each row, at least one row.
        width: width of the terminal.

    Example:
        >>> for line in table_lines(["name", "what it is"], [["a", "one of two"]], 40):
        ...     print(line)
          name  what it is
          ────────────────
          a     one of two
    """
    table = [list(columns), *map(list, rows)]
    numbers = list(range(len(columns)))
    prose = [n for n in numbers[1:] if any(_is_prose(row[n]) for row in rows)]
    widths = _widths(table, numbers, prose, width)
    if widths:
        return list(_block(table, numbers, widths))
    others = [n for n in numbers if n not in prose]
    lines: list[str] = []
    for block in _blocks(table, others, width):
        lines += [""] if lines else []
        below = prose if block[-1] == others[-1] else []
        lines += _block(table, block, _squeezed(table, block, width), below, width)
    return lines


def _is_prose(cell: str) -> bool:
    return len(cell) > _LONG and " " in cell


def _word(cell: str) -> int:
    """Return the length of the longest word."""
    from rich.cells import cell_len

    return max(map(cell_len, cell.split()), default=0)


def _longest(table: Sequence[Row], numbers: Sequence[int]) -> list[int]:
    """Return the least widths at which only headings are wrapped."""
    from rich.cells import cell_len

    head, *rows = table
    return [max(_word(head[n]), *(cell_len(row[n]) for row in rows)) for n in numbers]


def _total(widths: Sequence[int]) -> int:
    return _INDENT + sum(widths) + _GAP * (len(widths) - 1)


def _widths(
    table: Sequence[Row], numbers: Sequence[int], prose: Sequence[int], width: int
) -> list[int]:
    """Return widths that fit on the terminal, with wrapped headings and prose; empty if none do."""
    from rich.cells import cell_len

    whole = [max(cell_len(row[n]) for row in table) for n in numbers]
    if _total(whole) <= width:
        return whole
    widths = _longest(table, numbers)
    if _total(widths) <= width or not prose:
        return widths if _total(widths) <= width else []
    least = {n: max(min(widths[n], _NARROWEST), *(_word(row[n]) for row in table)) for n in prose}
    for n in prose:
        widths[n] = least[n]
    for n in sorted(prose, key=lambda n: whole[n]):  # the shortest first: it needs the least
        spare = width - _total(widths)
        widths[n] = min(whole[n], widths[n] + max(spare, 0))
    return widths if _total(widths) <= width else []


def _squeezed(table: Sequence[Row], numbers: Sequence[int], width: int) -> list[int]:
    """Return the widths of a block; a single column that is too wide is wrapped at spaces."""
    widths = _longest(table, numbers)
    excess = _total(widths) - width
    if excess > 0 and len(numbers) == 2:
        longest = max(_word(row[numbers[1]]) for row in table)
        widths[1] = max(longest, widths[1] - excess)
    return widths


def _blocks(table: Sequence[Row], numbers: Sequence[int], width: int) -> list[list[int]]:
    """Return the columns of each table: as many as fit, the first column in all of them."""
    first, *others = numbers
    blocks = [[first]]
    for n in others:
        if len(blocks[-1]) > 1 and _total(_longest(table, [*blocks[-1], n])) > width:
            blocks.append([first])
        blocks[-1].append(n)
    return blocks


def _block(
    table: Sequence[Row],
    numbers: Sequence[int],
    widths: Sequence[int],
    below: Sequence[int] = (),
    width: int = 0,
) -> Iterator[str]:
    """Yield the lines of some columns, with the prose of other columns below each row."""
    for number, row in enumerate(table):
        if number == 0 and not any(row):
            continue
        yield from _lines([row[n] for n in numbers], widths)
        for n in below:
            if row[n]:
                yield from _wrap(row[n], width, " " * _BELOW, " " * _BELOW)
        if number == 0:
            yield " " * _INDENT + "─" * (_total(widths) - _INDENT)


def _lines(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """Yield the lines of one row."""
    from rich.cells import cell_len

    folded = [
        [cell] if cell_len(cell) <= size else _wrap(cell, size)
        for cell, size in zip(cells, widths, strict=True)
    ]
    for parts in zip_longest(*folded, fillvalue=""):
        padded = (
            part + " " * (size - cell_len(part)) for part, size in zip(parts, widths, strict=True)
        )
        yield (" " * _INDENT + (" " * _GAP).join(padded)).rstrip()
