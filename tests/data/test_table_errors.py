"""What is wrong with a user's file or with the options is said in one line that names the place."""

from __future__ import annotations

import numpy as np
import pytest

from relaxit.cli.app import run
from relaxit.data import Table
from relaxit.errors import ConfigurationError, DataError, OptionsError

GOOD = "a,b,kind\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n"

BAD_FILES = {
    "empty": ("", "t.csv is empty"),
    "blank": ("\n \n", "t.csv is empty"),
    "header only": ("a,b\n", "t.csv has no rows"),
    "short row": (GOOD + "9\n", "row 5 (line 6) has 1 cells, but the header has 3"),
    "long row": ("a,b\n1,2\n\n1,2,3\n", "row 2 (line 4) has 3 cells, but the header has 2"),
    "long cell": ('a,b\n"1\n2",3,4\n', "row 1 (line 3) has 3 cells"),
    "open quote": ('a,b\n1,"2\n', "t.csv, line 2: "),
    "same names": ("a,b,a\n1,2,3\n", "two columns are called 'a' in the header"),
    "no name": ("a,,b\n1,2,3\n", "column 2 has no name in the header"),
    "text": (GOOD + "9,zehn,x\n", "column 'b', row 5 (line 6) holds 'zehn', but other rows hold n"),
    "number": ("a,b\nx,1\n2,2\n", "column 'a', row 1 (line 2) holds 'x', but other rows hold num"),
    "all text": ("a,b\nx,1\ny,2\n", "column 'a', row 1 (line 2) holds 'x', expected a number"),
    "empty cell": (GOOD + "9,,x\n", "column 'b', row 5 (line 6) is empty"),
    "blank cell": (GOOD + "9,8, \n", "column 'kind', row 5 (line 6) is empty"),
    "NaN": (GOOD + "9,nan,x\n", "column 'b', row 5 (line 6) holds nan, expected finite numbers"),
    "infinite": (GOOD + "9,-inf,x\n", "column 'b', row 5 (line 6) holds -inf, expected finite"),
    "too large": (GOOD + "9,1e39,x\n", "column 'b', row 5 (line 6) holds 1e+39, expected finite"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_the_place_in_a_text_file(tmp_path, case):
    content, said = BAD_FILES[case]
    (tmp_path / "t.csv").write_text(content)
    targets = ("kind",) if "kind" in content else ()
    with pytest.raises(DataError) as caught:
        Table(file="t.csv", targets=targets).load(tmp_path)
    message = str(caught.value)
    assert said in message
    assert str(tmp_path / "t.csv") in message
    assert "\n" not in message
    assert caught.value.exit_code == 4


RAGGED = np.array([np.zeros(2), np.zeros(3)], dtype=object)
BAD_ARRAYS = {
    "ragged": ({"x": RAGGED}, "array 'x' holds Python objects, .*relaxit.data.pad"),
    "single": ({"x": np.array(3.0)}, "array 'x' is a single value"),
    "lengths": ({"x": np.zeros(3), "y": np.zeros((4, 2))}, "array 'y' has 4 rows, but 'x' has 3"),
    "no rows": ({"x": np.zeros((0, 3))}, "has no rows"),
    "no arrays": ({}, "has no rows"),
    "NaN": ({"x": np.array([[1, 2], [3, np.nan]])}, "'x', row 2 holds an array, expected finite"),
    "NaN alone": ({"x": np.array([1, 3, np.nan])}, "'x', row 3 holds nan, expected finite"),
    "complex": ({"x": np.zeros(3, complex)}, "column 'x' holds values of complex128"),
    "dates": ({"x": np.zeros(3, "datetime64[s]")}, "column 'x' holds values of datetime64"),
    "text": ({"x": np.array(["1", "2"])}, "'x', row 1 holds '1', expected a number"),
    "empty text": ({"x": np.array(["a", ""])}, "column 'x', row 2 is empty"),
    "two shapes": ({"x": np.zeros((3, 2)), "y": np.zeros(3)}, "array 'x' has the shape \\[3, 2\\]"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_the_place_in_arrays(tmp_path, case):
    arrays, said = BAD_ARRAYS[case]
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(DataError, match=said) as caught:
        Table(file="t.npz").load(tmp_path)
    assert "t.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_files_that_are_not_what_their_name_says(tmp_path, ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / f"t.{ending}").write_text(GOOD)
    with pytest.raises(DataError, match=rf"t.{ending} cannot be read: \w+: ") as caught:
        Table(file=f"t.{ending}").load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_truncated_archive(tmp_path):
    np.savez(tmp_path / "t.npz", x=np.zeros(100))
    whole = (tmp_path / "t.npz").read_bytes()
    (tmp_path / "t.npz").write_bytes(whole[:200])
    with pytest.raises(DataError, match=r"t.npz cannot be read"):
        Table(file="t.npz").load(tmp_path)


@pytest.mark.parametrize("package", ["pyarrow", "polars", "pandas"])
@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([1.0, None, 3.0], "'a', row 2 "),
        ([1, None, 3], "'a', row 2 "),
        (["x", None, "y"], "'a', row 2 is empty"),
        ([True, None, False], "'a', row 2 is empty"),
        ([[1], [2, 3], [4]], "'a'"),
    ],
)
def test_the_place_in_parquet(tmp_path, monkeypatch, package, cells, said):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pytest.importorskip(package)
    parquet.write_table(pyarrow.table({"a": cells, "b": [1, 2, 3]}), tmp_path / "t.parquet")
    monkeypatch.setattr("relaxit.data.table_files.find_spec", lambda name: name == package)
    with pytest.raises(DataError, match=said) as caught:
        Table(file="t.parquet", targets=("b",)).load(tmp_path)
    assert "t.parquet" in str(caught.value)


def test_a_missing_package_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr("relaxit.data.table_files.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"needs pyarrow.*pip install .*\[tables\]"):
        Table(file="t.parquet").load(tmp_path)


BAD_OPTIONS = [
    ({"inputs": ("A",)}, "-d inputs: .*t.csv has no column 'A'; it has: a, b, kind"),
    ({"targets": ("kinds",)}, r"no column 'kinds' \(did you mean kind\?\); it has: a, b, kind"),
    ({"inputs": ("a", "a")}, "-d inputs names column 'a' twice"),
    ({"inputs": ("a",), "targets": ("a",)}, "'a' of .*t.csv is both in -d inputs and in -d targ"),
    ({"targets": ("a", "b", "kind")}, "t.csv has no columns but -d targets"),
    ({"targets": ("kind",), "test": 0.1}, "-d test=0.1 of 4 rows in .*t.csv leaves no test rows"),
    ({"targets": ("kind",), "test": 0.9}, "-d test=0.9 of 4 rows in .*leaves no training rows"),
]


@pytest.mark.parametrize(("options", "said"), BAD_OPTIONS)
def test_options_that_do_not_fit_the_file(tmp_path, options, said):
    (tmp_path / "t.csv").write_text(GOOD)
    with pytest.raises(ConfigurationError, match=said) as caught:
        Table(file="t.csv", **options).load(tmp_path)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("test", [0.0, 1.0, -0.1])
def test_fractions_are_between_0_and_1(test):
    with pytest.raises(OptionsError, match="test must be"):
        Table(file="t.csv", test=test)


BAD_COMMANDS = [
    ("-d file=absent.csv", 4, "absent.csv does not exist"),
    ("-d file=t.cvs", 4, "t.cvs does not exist (did you mean t.csv?)"),
    ("-d file=t.xlsx", 4, "t.xlsx: the name of a table ends in .csv"),
    ("", 2, "table needs file: -d file=table.csv"),
    ("-d file=t.csv -d inputs=a,c", 2, "no column 'c'"),
    ('-d file=t.csv -d inputs=["a","c"]', 2, "no column 'c'"),
    ("-d file=t.csv -d inputs=a,kind", 4, "column 'kind', row 1 (line 2) holds 'x', expected a n"),
    ("-d file=t.csv -d test=2", 2, "-d test must be less than 1, got 2"),
    (
        "-d file=t.csv -d targets=kind -d test=0.01",
        2,
        "-d test=0.01 of 4 rows in t.csv leaves no",
    ),
    ("-d file=t.csv -d standardise=maybe", 2, "-d standardise must be true or false"),
    ("-d file=t.csv -d delimiter=;", 2, "table has no option delimiter"),
]


@pytest.mark.parametrize(("flags", "code", "said"), BAD_COMMANDS)
def test_a_command_fails_in_one_line(tmp_path, monkeypatch, capsys, flags, code, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(GOOD)
    (tmp_path / "t.xlsx").write_text(GOOD)
    command = ["train", "--dataset", "table", "--data-dir", ".", *flags.split()]
    assert run([*command, "-t", "likelihood=gaussian", "--device", "cpu"]) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert not (tmp_path / "runs").exists()
