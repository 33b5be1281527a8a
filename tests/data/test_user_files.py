"""Files that the user names: where they are looked for, and what is said if they are not text."""

from __future__ import annotations

import gzip

import pytest

from relaxit.data.user_files import find_file, read_text
from relaxit.errors import DataError

TEXT = "two\nlines, é\n"


def test_files_are_found_below_the_directory_or_by_an_absolute_path(tmp_path):
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "a.txt"
    path.write_text(TEXT)
    assert find_file("sub/a.txt", tmp_path) == path
    assert find_file(str(path), tmp_path / "elsewhere") == path


def test_without_one_below_the_directory_it_is_found_as_it_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    here, below = tmp_path / "a.txt", tmp_path / "data" / "a.txt"
    here.write_text(TEXT)
    assert find_file("a.txt", tmp_path / "data").resolve() == here
    below.write_text(TEXT)
    assert find_file("a.txt", tmp_path / "data") == below


def test_a_missing_file_has_neighbours(tmp_path):
    (tmp_path / "measured.csv").write_text(TEXT)
    with pytest.raises(DataError, match=r"measure.csv does not exist \(did you mean measured.csv"):
        find_file("measure.csv", tmp_path)
    with pytest.raises(DataError, match=r"zzz does not exist; files are looked for in --data-dir"):
        find_file("zzz", tmp_path)
    with pytest.raises(DataError, match="is not a file"):
        find_file(".", tmp_path)


ENCODED = {
    "plain": TEXT.encode(),
    "byte order mark": TEXT.encode("utf-8-sig"),
    "Windows": TEXT.replace("\n", "\r\n").encode(),
    "old Macs": TEXT.replace("\n", "\r").encode(),
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("content", ENCODED.values(), ids=ENCODED)
def test_line_ends_and_marks_are_the_same(tmp_path, content, compressed):
    path = tmp_path / ("a.txt.gz" if compressed else "a.txt")
    path.write_bytes(gzip.compress(content) if compressed else content)
    assert read_text(path) == TEXT


UNREADABLE = {
    "a.txt": (b"one\ntwo\nthr\xe9e", "not UTF-8 text: byte 0xe9 in line 3"),
    "b.txt": (b"", "is empty"),
    "c.txt": (b" \n\n", "is empty"),
    "d.gz": (TEXT.encode(), "cannot be read: BadGzipFile"),
    "e.gz": (gzip.compress(TEXT.encode())[:-9], "cannot be read: EOFError"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_not_text_is_rejected(tmp_path, name):
    content, said = UNREADABLE[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        read_text(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
