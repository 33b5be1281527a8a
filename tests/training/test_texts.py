"""Texts in a file, one per line."""

from __future__ import annotations

import pytest

from relaxit.errors import CheckpointError
from relaxit.training import write_texts

TEXTS = [["one", "two"], ["a\nb", "", "\n"], [], ["ß � 😀"]]


@pytest.mark.parametrize("texts", TEXTS)
def test_a_line_for_each_text_that_can_be_read_back(tmp_path, texts):
    path = tmp_path / "t.txt"
    write_texts(iter(texts), path)
    lines = path.read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    assert [line.replace("⏎", "\n") for line in lines] == texts


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot write .*absent"):
        write_texts(["a"], tmp_path / "absent" / "t.txt")
