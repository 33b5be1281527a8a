"""``relaxit sample``: a grid of images, or lines of text, from the prior of a run."""

from __future__ import annotations

import pytest

from relaxit.cli.app import run
from tests.cli.short_runs import SMALL, last_line

LENGTH = 8


@pytest.fixture(scope="session")
def text_run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("text")
    (directory / "a.txt").write_text("some words\nand more of them " * 50)
    path = directory / "run"
    assert run(["train", *SMALL, "--task", "text-vae", "--data-dir", str(directory),
                "-d", "file=a.txt", "-d", f"length={LENGTH}", "-t", "hidden=[8]",
                "--out", str(path), "--quiet"]) == 0  # fmt: skip
    return path


@pytest.mark.parametrize("count", [1, 5])
def test_texts_are_lines(text_run, tmp_path, capsys, count):
    out = tmp_path / "own.txt"
    assert run(["sample", str(text_run), "--count", str(count), "--out", str(out)]) == 0
    lines = out.read_text(encoding="utf-8").splitlines()
    assert [len(line) for line in lines] == [LENGTH] * count
    assert last_line(capsys) == f"{count} texts: {out}"


def test_the_seed_names_the_file_and_determines_it(text_run, tmp_path):
    again = tmp_path / "again.txt"
    for seed in (3, 4):
        assert run(["sample", str(text_run), "--seed", str(seed)]) == 0
    assert run(["sample", str(text_run), "--seed", "3", "--out", str(again)]) == 0
    three, four = (text_run / f"samples-{seed}.txt" for seed in (3, 4))
    assert three.read_text() == again.read_text() != four.read_text()


def test_images_are_a_grid(trained, capsys, tmp_path):
    out = tmp_path / "grid.png"
    assert run(["sample", str(trained), "--count", "4", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert last_line(capsys) == f"4 images: {out}"


def test_other_examples_are_returned_in_python_only(tmp_path, capsys):
    path = tmp_path / "run"
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n3,4\n" * 20)
    assert run(["train", *SMALL, "--dataset", "table", "--data-dir", str(tmp_path), "-d",
                "file=t.csv", "-t", "likelihood=gaussian", "--out", str(path),
                "--quiet"]) == 0  # fmt: skip
    capsys.readouterr()
    assert run(["sample", str(path)]) == 2
    assert "examples of shape [2] are no images" in last_line(capsys)
