"""The same small table in every format, and what it holds."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

ROWS = 40


def columns() -> dict[str, np.ndarray]:
    """Two columns of numbers, and targets of every kind."""
    rng = np.random.default_rng(0)
    return {
        "width": rng.normal(size=ROWS).round(6),
        "count": rng.integers(-5, 9, ROWS),
        "kind": rng.choice(["oak", "ash", "böse Buche, alt"], ROWS),
        "year": rng.choice([1990, 2001, 2005], ROWS),
        "score": rng.normal(size=ROWS).round(6),
        "dead": rng.choice([True, False], ROWS),
    }


def as_csv(table: Mapping[str, np.ndarray], separator: str = ",") -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*(column.tolist() for column in table.values()), strict=True))
    return out.getvalue()


def write_table(directory: Path, ending: str, table: Mapping[str, np.ndarray]) -> str:
    """Write a table; return the name of the file. ``;csv`` is a CSV file with semicolons."""
    name = f"trees.{ending.lstrip(';')}"
    path = directory / name
    if ending == "npz":
        np.savez(path, **table)
    elif ending == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.table(dict(table)), path)
    else:
        separator = ";" if ending.startswith(";") else "\t" if "tsv" in ending else ","
        content = as_csv(table, separator).encode()
        path.write_bytes(gzip.compress(content) if ending.endswith(".gz") else content)
    return name
