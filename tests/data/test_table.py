"""Rows of a user's file: the same in every format, of the types that are promised."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from relaxit.data import Examples, Table
from tests.data.table_files import ROWS, columns, write_table

FORMATS = ["csv", ";csv", "tsv", "csv.gz", "tsv.gz", "npz", "parquet"]
INTEGRAL = ("kind", "year", "dead")


def whole(splits, name):
    """A column of all rows, training rows first."""
    return torch.cat([splits.train[name], splits.test[name]])


def rows_of(splits, table):
    """Index in the file of each of these rows, found by a column without repetitions."""
    position = {np.float32(value): row for row, value in enumerate(table["width"])}
    assert len(position) == ROWS
    return [position[np.float32(value)] for value in whole(splits, "inputs")[:, 0].tolist()]


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("target", ["kind", "year", "score", "dead"])
def test_every_format_gives_the_same_rows(tmp_path, ending, target):
    table = columns()
    file = write_table(tmp_path, ending, table)
    rows = Table(file=file, inputs=("width", "count"), targets=(target,)).load(tmp_path)
    order = rows_of(rows, table)
    inputs = np.stack([table["width"], table["count"]], 1).astype(np.float32)
    assert whole(rows, "inputs").dtype == torch.float32
    assert np.array_equal(whole(rows, "inputs").numpy(), inputs[order])
    targets = whole(rows, "targets")
    if target in INTEGRAL:
        values = sorted(set(table[target].tolist()))
        assert targets.dtype == torch.int64
        assert [values[c] for c in targets.tolist()] == table[target][order].tolist()
        assert rows.format.targets.classes == len(values)
    else:
        assert targets.dtype == torch.float32
        assert np.array_equal(targets.numpy(), table[target][order].astype(np.float32))
        assert rows.format.targets.classes == 0
    assert set(rows.train.columns) >= {"inputs", "targets"}


@pytest.mark.parametrize("ending", FORMATS)
def test_inputs_are_all_columns_but_targets(tmp_path, ending):
    table = columns()
    del table["kind"], table["dead"]
    file = write_table(tmp_path, ending, table)
    rows = Table(file=file, targets=("score", "count")).load(tmp_path)
    order = rows_of(rows, table)
    for name, chosen in (("inputs", ["width", "year"]), ("targets", ["score", "count"])):
        expected = np.stack([table[c] for c in chosen], 1).astype(np.float32)[order]
        assert np.array_equal(whole(rows, name).numpy(), expected)
    bare = Table(file=file).load(tmp_path)
    assert set(bare.train.columns) == {"inputs"}
    assert bare.format.inputs.shape == (4,)


@pytest.mark.parametrize("shape", [(), (3,), (4, 5)])
@pytest.mark.parametrize("dtype", ["uint8", "bool", "int64", "int32", "float32", "float64"])
def test_an_array_keeps_shape_and_type(tmp_path, dtype, shape):
    array = np.random.default_rng(0).integers(0, 200, (ROWS, *shape)).astype(dtype)
    np.savez(tmp_path / "a.npz", x=array, index=np.arange(ROWS))
    rows = Table(file="a.npz", inputs=("x",)).load(tmp_path)
    kept = Examples.of(inputs=array).inputs
    found = whole(rows, "inputs")
    assert (found.dtype, found.shape) == (kept.dtype, kept.shape)
    assert torch.equal(found, kept[whole(rows, "index")])


def test_arrays_are_columns_by_their_names(tmp_path):
    arrays = {
        "inputs": np.arange(ROWS * 6).reshape(ROWS, 6),
        "lengths": np.arange(ROWS) % 6 + 1,
        "targets": np.arange(ROWS * 6).reshape(ROWS, 6) % 4 * 10,
    }
    np.savez(tmp_path / "a.npz", **arrays)
    rows = Table(file="a.npz").load(tmp_path)
    assert list(rows.train.columns) == ["inputs", "targets", "lengths"]
    order = (whole(rows, "inputs")[:, 0] // 6).tolist()
    assert sorted(order) == list(range(ROWS))
    assert np.array_equal(whole(rows, "lengths").numpy(), arrays["lengths"][order])
    assert np.array_equal(whole(rows, "targets").numpy() * 10, arrays["targets"][order])
    assert rows.format.targets.classes == 4


def test_a_column_may_be_called_targets_and_be_an_input(tmp_path):
    np.savez(tmp_path / "a.npz", targets=np.arange(ROWS) / 1.0, b=np.arange(ROWS))
    rows = Table(file="a.npz", inputs=("targets", "b")).load(tmp_path)
    assert list(rows.train.columns) == ["inputs"]
    assert rows.format.inputs.shape == (2,)


@pytest.mark.parametrize("test", [0.05, 0.2, 0.5, 0.95])
def test_parts_are_disjoint_complete_and_always_the_same(tmp_path, test):
    np.savez(tmp_path / "a.npz", x=np.arange(ROWS))
    once, again = (Table(file="a.npz", test=test).load(tmp_path) for _ in range(2))
    assert len(once.test) == round(test * ROWS)
    assert sorted(whole(once, "inputs").tolist()) == list(range(ROWS))
    assert torch.equal(once.test.inputs, again.test.inputs)
    # In the order of the file, but not its beginning or end.
    assert once.train.inputs.tolist() == sorted(once.train.inputs.tolist())
    assert once.test.inputs.tolist() not in (
        list(range(len(once.test))),
        list(range(len(once.train), ROWS)),
    )


@pytest.mark.parametrize("ending", ["csv", "npz"])
def test_standardised_by_the_training_rows_only(tmp_path, ending):
    table = {"a": np.arange(ROWS) * 1e6 + 1e8, "b": np.random.default_rng(0).normal(size=ROWS),
             "same": np.full(ROWS, 7.0), "row": np.arange(ROWS)}  # fmt: skip
    file = write_table(tmp_path, ending, table)
    raw = Table(file=file, inputs=("row",)).load(tmp_path)
    train, test = (part.inputs.flatten().long().numpy() for part in (raw.train, raw.test))
    inputs = np.stack([table["a"], table["b"], table["same"]], 1).astype(np.float32).astype(float)
    options = {"inputs": ("a", "b", "same"), "standardise": True}
    rows = Table(file=file, **options).load(tmp_path)
    deviation = inputs[train].std(0)
    deviation[2] = 1
    for part, index in ((rows.train, train), (rows.test, test)):
        expected = (inputs[index] - inputs[train].mean(0)) / deviation
        assert part.inputs.dtype == torch.float32
        assert np.allclose(part.inputs.numpy(), expected, atol=1e-5)
    assert rows.train.inputs.mean(0).abs().max() < 1e-5
    assert (rows.train.inputs[:, :2].std(0, correction=0) - 1).abs().max() < 1e-5
    assert (rows.train.inputs[:, 2] == 0).all()


def test_standardised_arrays_of_any_shape(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (ROWS, 2, 3)).astype("uint8")
    np.savez(tmp_path / "a.npz", x=x)
    rows = Table(file="a.npz", standardise=True).load(tmp_path)
    assert rows.train.inputs.shape[1:] == (2, 3)
    assert rows.train.inputs.mean(0).abs().max() < 1e-5


@pytest.mark.parametrize("package", ["pyarrow", "polars", "pandas"])
def test_every_reader_of_parquet_gives_the_same(tmp_path, monkeypatch, package):
    pytest.importorskip(package)
    file = write_table(tmp_path, "parquet", columns())
    options = {"inputs": ("width", "year"), "targets": ("kind",)}
    usual = Table(file=file, **options).load(tmp_path)
    monkeypatch.setattr("relaxit.data.table_files.find_spec", lambda name: name == package)
    rows = Table(file=file, **options).load(tmp_path)
    assert rows.format == usual.format
    for name in ("inputs", "targets"):
        assert torch.equal(whole(rows, name), whole(usual, name))
