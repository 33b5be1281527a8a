"""A table in Markdown can be read back, and its source is aligned."""

from __future__ import annotations

import pytest

from relaxit.markdown import pipe_table

TABLES = [
    (["a", "b"], [["1", "a longer cell"], ["22", ""]]),
    (["", "heading"], [["mean ± s.e. of 3", "0.1"]]),
    (["only a heading"], []),
    (["none"], [[""], ["-"]]),
]


def cells(line: str) -> list[str]:
    assert (line[:1], line[-1:]) == ("|", "|")
    return [cell.strip() for cell in line[1:-1].split("|")]


@pytest.mark.parametrize(("columns", "rows"), TABLES)
def test_cells_are_read_back_and_lines_are_of_one_length(columns, rows):
    for right in ([], columns[-1:], columns):
        head, rule, *body = pipe_table(columns, rows, right).split("\n")
        assert cells(head) == columns
        assert [cells(line) for line in body] == rows
        assert set(rule) == {"|", "-"}
        assert [len(part) for part in rule.split("|")] == [len(part) for part in head.split("|")]
        assert len({len(line) for line in (head, rule, *body)}) == 1


def test_columns_are_aligned_on_the_side_that_is_asked_for():
    lines = pipe_table(["name", "n"], [["a", "1"], ["bb", "10"]], right=["n"]).split("\n")
    assert lines[2:] == ["| a    |  1 |", "| bb   | 10 |"]
