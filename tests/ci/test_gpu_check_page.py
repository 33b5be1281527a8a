"""The page and the document that ``.ci/gpu_check`` writes."""

from __future__ import annotations

import pytest

from tests.ci.gpu_check import number, table


def test_tables_fit():
    text = table(["", "ms"], [["a" * 200, "1"], ["b|c", "22"]])
    assert {len(line) for line in text.splitlines()} == {80}
    assert "b/c" in text
    assert table(["", "x", "y"], [["a", "-", "1"]], drop_empty=True).count("|") == 9
    assert table(["", "x"], []) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0"),
        (0.00012345, "1.2e-4"),
        (0.0012345, "0.0012"),
        (0.012345, "0.0123"),
        (-12.345, "-12.3"),
        (999.4, "999"),
        (123456.0, "123456"),
        (1.5e7, "1.5e7"),
    ],
)
def test_three_digits(value, text):
    assert number(value) == text


def test_the_widest_table_there_is_has_room_for_names():
    names = ["RelaxedOneHotCategorical", "relaxit compile bfloat16", "log form, 100 iterations"]
    numbers = [number(0.0123456)] * 5
    heads = ["", "ms", "ratio", "/ comp.", "bounds", "MiB"]
    assert "..." not in table(heads, [[name, *numbers] for name in names])


def test_infinity_is_no_json(session):
    session.facts["x"] = [float("inf"), {1: float("nan")}]
    assert session.document()["facts"]["x"] == [None, {"1": None}]
