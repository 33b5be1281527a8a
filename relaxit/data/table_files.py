"""Files of tables: CSV, NPZ and Parquet, read as arrays by the names of their columns."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from relaxit.data.user_files import read_text
from relaxit.errors import DataError, error_summary

__all__ = ["RawTable", "read_table"]

Array = np.ndarray[Any, Any]
_FORMATS = ".csv, .tsv (either also .gz), .npz or .parquet"


@dataclass(frozen=True)
class RawTable:
    """The columns of a file, as they are stored.

    Attributes:
        path: the file.
        columns: arrays ``[N, *shape]`` by name; cells of a text file are strings, an absent value
            of any file is None or NaN.
        lines: line of each row in a text file; empty for other files.
        arrays: whether the columns are arrays of any shape, with names that mean something to a
            task, and not the cells of a table.
    """

    path: Path
    columns: Mapping[str, Array]
    lines: Sequence[int] = field(default=())
    arrays: bool = False

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def place(self, column: str, row: int) -> str:
        """Return where a cell is, for a message; rows are counted from 1."""
        line = f" (line {self.lines[row]})" if self.lines else ""
        return f"{self.path}, column {column!r}, row {row + 1}{line}"


def read_table(path: Path) -> RawTable:
    """Read a file by the ending of its name.

    Raises:
        DataError: if it cannot be read, is empty, or its rows or columns differ in length; naming
            the row or column.
    """
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind in ("csv", "tsv"):
        table = _read_csv(path, "\t" if kind == "tsv" else ",")
    elif kind == "npz":
        table = _read_npz(path)
    elif kind == "parquet":
        table = _read_parquet(path)
    else:
        raise DataError(f"{path}: the name of a table ends in {_FORMATS}")
    if not table.columns or not len(table):
        raise DataError(f"{path} has no rows")
    return table


def _read_csv(path: Path, separator: str) -> RawTable:
    """Read a text file with a header; a ``.csv`` without commas there may have semicolons."""
    text = read_text(path)
    header = text.lstrip("\n").partition("\n")[0]
    if separator == "," and "," not in header and ";" in header:
        separator = ";"
    reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    names: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells) and len(cells) <= 1:
                continue  # a blank line
            if not names:
                names = _header(path, cells)
                continue
            if len(cells) != len(names):
                raise DataError(
                    f"{path}, row {len(rows) + 1} (line {reader.line_num}) has {len(cells)} cells, "
                    f"but the header has {len(names)}"
                )
            rows.append(cells)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error
    cells_of = zip(*rows, strict=True) if rows else [()] * len(names)
    columns = {name: np.array(cells) for name, cells in zip(names, cells_of, strict=True)}
    return RawTable(path, columns, lines)


def _header(path: Path, cells: Sequence[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    for number, name in enumerate(names):
        if not name:
            raise DataError(f"{path}: column {number + 1} has no name in the header")
        if name in names[:number]:
            raise DataError(f"{path}: two columns are called {name!r} in the header")
    return names


def _read_npz(path: Path) -> RawTable:
    columns: dict[str, Array] = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for name in file.files:
                columns[name] = _array(path, name, file)
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {error_summary(error)}") from error
    counts = {name: len(column) for name, column in columns.items()}
    for name, count in counts.items():
        if count != (first := next(iter(counts.values()))):
            raise DataError(
                f"{path}: array {name!r} has {count} rows, but {next(iter(counts))!r} has {first}"
            )
    return RawTable(path, columns, arrays=True)


def _array(path: Path, name: str, file: Mapping[str, Array]) -> Array:
    try:
        array = file[name]
    except ValueError as error:
        if "pickle" not in str(error):
            raise
        raise DataError(
            f"{path}: array {name!r} holds Python objects, such as sequences of different lengths; "
            "save padded arrays inputs and lengths, see relaxit.data.pad"
        ) from error
    if not array.ndim:
        raise DataError(f"{path}: array {name!r} is a single value, expected one for each row")
    return array


def _read_parquet(path: Path) -> RawTable:
    """Read a Parquet file with whichever package is installed, the smallest first."""
    readers = {"pyarrow": _by_pyarrow, "polars": _by_polars, "pandas": _by_pandas}
    for package, read in readers.items():
        if find_spec(package):
            try:
                return RawTable(path, read(path))
            except ImportError:  # pandas itself needs one of two other packages
                continue
            except Exception as error:  # each package has errors of its own
                raise DataError(f"{path} cannot be read: {error_summary(error)}") from error
    raise DataError(
        f"{path}: reading Parquet needs pyarrow, polars or pandas; install one of them: "
        "pip install 'relaxit-framework[tables]'"
    )


def _by_pyarrow(path: Path) -> dict[str, Array]:
    from pyarrow import parquet

    table = parquet.ParquetFile(path).read()
    return {name: table[name].to_numpy() for name in table.column_names}


def _by_polars(path: Path) -> dict[str, Array]:
    import polars

    return {column.name: column.to_numpy() for column in polars.read_parquet(path)}


def _by_pandas(path: Path) -> dict[str, Array]:
    import pandas

    return {str(name): column.to_numpy() for name, column in pandas.read_parquet(path).items()}
