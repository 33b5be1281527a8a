"""Columns of a table as numbers or classes, with the place of a cell that is neither."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from relaxit.data.table_files import RawTable
from relaxit.errors import DataError, shorten

__all__ = ["classes_of", "numbers_of", "parsed"]

Array = np.ndarray[Any, Any]


def parsed(table: RawTable, name: str) -> Array:
    """Return a column as numbers (``biuf``) or, if none of its cells is a number, as strings.

    Raises:
        DataError: naming the row, if a cell is empty, or not a finite number, or one of numbers and
            texts in the same column; naming the type, if it is neither.
    """
    column = table.columns[name]
    if column.dtype.kind == "S":
        column = np.char.decode(column, "utf-8", "replace")
    if column.dtype == object:
        column = _of_objects(table, name, column)
    if column.dtype.kind == "U":
        column = _of_texts(table, name, column)
    if column.dtype.kind not in "biufU":
        raise DataError(
            f"{table.path}, column {name!r} holds values of {column.dtype}, expected numbers or "
            "text"
        )
    if column.dtype.kind == "f":
        # As they are kept: a float64 that is too large for float32 is not finite there.
        with np.errstate(over="ignore"):
            finite = np.isfinite(column.astype(np.float32)).reshape(len(column), -1).all(1)
        if not finite.all():
            row = int(finite.argmin())
            cell = column[row] if column.ndim == 1 else "an array"
            _reject(table, name, row, f"holds {cell}, expected finite numbers of float32")
    return column


def numbers_of(table: RawTable, name: str) -> Array:
    """Return a column of numbers.

    Raises:
        DataError: as :func:`parsed`, and if the column holds text.
    """
    column = parsed(table, name)
    if column.dtype.kind == "U":
        text = shorten(repr(str(column.reshape(-1)[0])), 40)
        _reject(table, name, 0, f"holds {text}, expected a number")
    return column


def classes_of(column: Array) -> tuple[Array, int]:
    """Return integers, truth values or texts as classes from 0, in sorted order, and their number.

    Example:
        >>> classes_of(np.array(["no", "yes", "no", "maybe"]))
        (array([1, 2, 1, 0]), 3)
    """
    values, classes = np.unique(column, return_inverse=True)
    return classes.reshape(column.shape).astype(np.int64), len(values)


def _of_objects(table: RawTable, name: str, column: Array) -> Array:
    """Return a column that a reader could not type: texts with empty cells, or something else."""
    cells = column.tolist()
    for row, cell in enumerate(cells):
        if cell is None or type(cell).__name__ in ("NAType", "NaTType") or cell != cell:
            _reject(table, name, row, "is empty")
        if not isinstance(cell, str | bool):
            kind = type(cell).__name__
            _reject(table, name, row, f"holds a value of type {kind}, expected a number or text")
    return np.array(cells)


def _of_texts(table: RawTable, name: str, column: Array) -> Array:
    """Return texts as integers or floats if all of them are, as texts if none is a number."""
    texts = np.char.strip(column)
    for row, empty in enumerate((texts == "").reshape(len(texts), -1).any(1)):
        if empty:
            _reject(table, name, row, "is empty")
    if table.arrays:
        return texts
    for dtype in (np.int64, np.float64):
        try:
            return texts.astype(dtype)
        except (ValueError, OverflowError):
            continue
    are_numbers = [_is_number(text) for text in texts.tolist()]
    if any(are_numbers):
        row = are_numbers.index(False)
        _reject(
            table, name, row, f"holds {_quoted(texts, row)}, but other rows hold numbers; mend it, "
            "or write texts in all rows"
        )  # fmt: skip
    return texts


def _quoted(texts: Sequence[Any] | Array, row: int) -> str:
    return shorten(repr(str(texts[row])), 40)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _reject(table: RawTable, name: str, row: int, what: str) -> NoReturn:
    raise DataError(f"{table.place(name, row)} {what}")
