"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Collection, Sequence

__all__ = ["pipe_table"]


def pipe_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()
) -> str:
    """Return a table that is also aligned as text, without a line break at its end.

    Args:
        columns: headings.
        rows: cells of each row.
        right: headings of the columns whose text is aligned on the right.

    Example:
        >>> print(pipe_table(["name", "epoch"], [["straight-through", "1"]], right=["epoch"]))
        | name             | epoch |
        |------------------|-------|
        | straight-through |     1 |
    """
    lines = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    just = [str.rjust if name in right else str.ljust for name in columns]
    head, *body = (
        f"| {' | '.join(put(cell, n) for put, cell, n in zip(just, line, widths, strict=True))} |"
        for line in lines
    )
    return "\n".join([head, f"|{'|'.join('-' * (width + 2) for width in widths)}|", *body])
