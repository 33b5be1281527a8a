"""``relaxit new-plugin``: the directories that it rejects, and what it says at the end."""

import json
import shlex
from pathlib import Path

from relaxit.cli.app import run
from tests.plugins.scaffold.packages import written


def rejection(capsys, *arguments) -> tuple[int, str]:
    code = run(["new-plugin", *arguments])
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    return code, err


def test_a_directory_that_exists_is_left_alone(tmp_path, capsys):
    (tmp_path / "relaxit-demo").mkdir()
    (tmp_path / "relaxit-demo" / "thesis.txt").write_text("mine")
    code, said = rejection(capsys, "demo")
    assert code == 2
    assert "relaxit-demo already exists" in said
    assert written(tmp_path) == ["relaxit-demo/thesis.txt"]
    (tmp_path / "relaxit-empty").mkdir()
    assert rejection(capsys, "empty")[0] == 2
    (tmp_path / "relaxit-file").write_text("mine")
    assert rejection(capsys, "file")[0] == 2
    (tmp_path / "relaxit-link").symlink_to("nowhere")
    assert rejection(capsys, "link")[0] == 2
    assert written(tmp_path) == ["relaxit-demo/thesis.txt", "relaxit-file"]


def test_a_parent_that_is_no_directory(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    for parent in ("nowhere", "file", "file/below"):
        code, said = rejection(capsys, "demo", "--dir", parent)
        assert code == 2
        assert "not a directory" in said
    assert written(tmp_path) == ["file"]


def test_a_parent_without_permission(tmp_path, capsys, monkeypatch):
    def deny(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", deny)
    code, said = rejection(capsys, "demo", "--dir", str(tmp_path))
    assert code == 4
    assert "Permission denied" in said
    assert f"{tmp_path / 'relaxit-demo'}" in said


def test_a_full_disk_is_said_once(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("relaxit.files.os.fsync", full)
    code, said = rejection(capsys, "demo")
    assert code == 4
    assert said.count("No space left on device") == said.count("cannot write") == 1
    assert list(tmp_path.iterdir()) == []


def test_it_says_what_comes_next(tmp_path, capsys):
    (tmp_path / "a directory").mkdir()
    assert run(["new-plugin", "demo", "--dir", "a directory"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    lines = [shlex.split(line) for line in err.splitlines() if line.startswith("    ")]
    assert lines == [
        ["pip", "install", "-e", "./a directory/relaxit-demo[dev]"],
        ["relaxit", "check", "demo"],
        ["relaxit", "train", "--relaxation", "demo"],
    ]


def test_json(tmp_path, capsys):
    assert run(["new-plugin", "demo", "--dir", str(tmp_path), "--json"]) == 0
    out, _ = capsys.readouterr()
    result = json.loads(out)
    assert Path(result["path"]) == tmp_path / "relaxit-demo"
    assert len(result["next"]) == 3
    assert shlex.split(result["next"][0])[-1] == f"{tmp_path}/relaxit-demo[dev]"
