"""Tables that the user brings: rows of a CSV, NPZ or Parquet file."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BeforeValidator, Field
from torch import Tensor

from relaxit.data.dataset import Dataset
from relaxit.data.examples import Examples
from relaxit.data.splits import Splits
from relaxit.data.table_columns import classes_of, numbers_of, parsed
from relaxit.data.table_files import RawTable, read_table
from relaxit.data.user_files import find_file
from relaxit.errors import ConfigurationError, DataError, shorten
from relaxit.options import Options

__all__ = ["Table"]

Array = np.ndarray[Any, Any]


def _split(value: object) -> object:
    """Return names from the command line ("a,b") or a configuration file (a list) as a tuple."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(","))
    return tuple(value) if isinstance(value, list) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]


class TableOptions(Options):
    """Options of :class:`Table`."""

    file: str = Field(
        min_length=1,
        description="CSV, TSV (or .gz of these), NPZ or Parquet file in the data directory",
        examples=["table.csv"],
    )
    inputs: Names = Field(
        (), description="columns of the inputs, as a,b or a JSON list; default: all but targets"
    )
    targets: Names = Field((), description="column of the targets, or several; none by default")
    test: float = Field(0.2, gt=0, lt=1, description="fraction of rows for testing, at random")
    standardise: bool = Field(
        False, description="inputs with mean 0 and deviation 1 over the training rows"
    )


class Table(Dataset):
    r"""Rows of a file, some of which, always the same ones, are the test part.

    Cells of a CSV or Parquet file: ``inputs`` are ``[N, D]`` float32, one entry per column. One
    column of ``targets`` gives classes ``[N]`` int64, in sorted order, if it holds text, integers
    or truth values, and ``[N]`` float32 otherwise; several columns give ``[N, M]`` float32. A CSV
    file has a header; its separator is a comma, or the semicolon if the header has no comma, or in
    a ``.tsv`` file the tab.

    Arrays of an NPZ file ``[N, *shape]`` are columns by their names, among them ``inputs`` and
    ``targets``, unless the options name others. A single array of inputs keeps shape and type, and
    further arrays, such as ``lengths``, are columns too if there is one.

    Example:
        >>> directory = getfixture("tmp_path")
        >>> _ = (directory / "iris.csv").write_text("a,b,kind\n1,2,x\n3,4,y\n5,6,x\n")
        >>> rows = Table(file="iris.csv", targets=("kind",), test=0.3).load(directory)
        >>> rows.format.inputs.shape, rows.format.targets.classes, len(rows.train), len(rows.test)
        ((2,), 2, 2, 1)
    """

    api = 2
    name = "table"
    summary = "rows of a CSV, NPZ or Parquet file of your own"
    files = True
    noun = "rows"
    Options = TableOptions
    options: TableOptions

    def load(self, directory: Path, download: bool = False) -> Splits:
        del download
        table = read_table(find_file(self.options.file, directory))
        inputs, targets, others = self._chosen(table)
        columns, classes = {"inputs": _inputs(table, inputs)}, {}
        if targets:
            columns["targets"], count = _targets(table, targets)
            classes = {"targets": count} if count else {}
        for name in others:
            columns[name] = _kept(table, name)
        train, test = self._parts(table)
        if self.options.standardise:
            columns["inputs"] = _standardised(columns["inputs"], train)
        rows = Examples(columns)
        return Splits(rows.take(train), rows.take(test), classes=classes)

    def _chosen(self, table: RawTable) -> tuple[list[str], list[str], list[str]]:
        """Return the names of the columns of inputs, of targets, and of other arrays."""
        has = table.columns
        inputs, targets = list(self.options.inputs), list(self.options.targets)
        for option, names in (("inputs", inputs), ("targets", targets)):
            _check_names(table, option, names)
        if table.arrays and not targets:
            targets = ["targets"] if "targets" in has and "targets" not in inputs else []
        if both := [name for name in inputs if name in targets]:
            raise ConfigurationError(
                f"column {both[0]!r} of {table.path} is both in -d inputs and in -d targets; leave "
                "it out of one of them"
            )
        free = [name for name in has if name not in (*inputs, *targets)]
        if not inputs:
            inputs = ["inputs"] if table.arrays and "inputs" in free else free
        if not inputs:
            raise ConfigurationError(
                f"{table.path} has no columns but -d targets: none is left for the inputs"
            )
        others = [name for name in free if name not in inputs] if len(inputs) == 1 else []
        return inputs, targets, others if table.arrays else []

    def _parts(self, table: RawTable) -> tuple[Tensor, Tensor]:
        """Return the rows of the training and of the test part, each in the order of the file."""
        count = len(table)
        test = round(self.options.test * count)
        if not 1 <= test < count:
            lacking = "test" if test < 1 else "training"
            raise ConfigurationError(
                f"-d test={self.options.test:g} of {count} rows in {table.path} leaves no "
                f"{lacking} rows; choose another fraction, or a file with more rows"
            )
        order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
        return order[test:].sort().values, order[:test].sort().values


def _check_names(table: RawTable, option: str, names: Sequence[str]) -> None:
    known = list(table.columns)
    for number, name in enumerate(names):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f" (did you mean {' or '.join(near)}?)" if near else ""
            raise ConfigurationError(
                f"-d {option}: {table.path} has no column {name!r}{hint}; it has: "
                f"{shorten(', '.join(known), 200)}"
            )
        if name in names[:number]:
            raise ConfigurationError(f"-d {option} names column {name!r} twice")


def _inputs(table: RawTable, names: Sequence[str]) -> Tensor:
    """Return one array as it is, or numbers ``[N, D]`` float32, one per column."""
    if table.arrays and len(names) == 1:
        return _kept(table, names[0])
    return _stacked(table, names)


def _kept(table: RawTable, name: str) -> Tensor:
    """Return an array with its shape, as one of the types of :class:`Examples`."""
    return Examples.of(inputs=numbers_of(table, name)).inputs


def _targets(table: RawTable, names: Sequence[str]) -> tuple[Tensor, int]:
    """Return the targets, and the number of classes; 0 if they are floats."""
    if len(names) > 1:
        return _stacked(table, names), 0
    column = parsed(table, names[0])
    if column.dtype.kind == "f":
        return torch.from_numpy(column.astype(np.float32)), 0
    classes, count = classes_of(column)
    return torch.from_numpy(classes), count


def _stacked(table: RawTable, names: Sequence[str]) -> Tensor:
    columns = []
    for name in names:
        column = numbers_of(table, name)
        if column.ndim != 1:
            raise DataError(
                f"{table.path}: array {name!r} has the shape {list(column.shape)}; several arrays "
                "are combined only if each has one number per row"
            )
        columns.append(column.astype(np.float32))
    return torch.from_numpy(np.stack(columns, 1))


def _standardised(inputs: Tensor, train: Tensor) -> Tensor:
    """Return inputs with mean 0 and deviation 1 over the training rows, entry by entry.

    Entries that are constant there become 0 in those rows.
    """
    values = inputs.double()
    known = values[train]
    deviation = known.std(0, correction=0)
    deviation[deviation == 0] = 1
    return ((values - known.mean(0)) / deviation).float()
