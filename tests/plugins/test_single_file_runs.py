"""Runs that were trained with a plugin file ask for it, and tell whether it has changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import relaxit
from relaxit.cli.app import run
from relaxit.training.runs.directory import RunDirectory
from tests.plugins.plugin_files import HOOK, SMALL, SOURCE, class_of, rejection, write

pytestmark = pytest.mark.usefixtures("fresh_session")


@pytest.fixture(scope="module")
def trained_in(tmp_path_factory):
    """A directory with mine.py, and with a run that was trained with it."""
    directory = tmp_path_factory.mktemp("trained")
    (directory / "mine.py").write_text(SOURCE + HOOK)
    flags = ["--plugin", str(directory / "mine.py"), "--relaxation", "mine", "--quiet"]
    assert run(["train", *SMALL, *flags, "--out", str(directory / "run")]) == 0
    return directory


@pytest.fixture
def trained(trained_in, fresh_session, tmp_path):
    """The same, with a run of one's own to change."""
    write()
    (tmp_path / "run").mkdir()
    for path in (trained_in / "run").iterdir():
        if path.is_file():
            (tmp_path / "run" / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    "words", [["evaluate", "run"], ["sample", "run"], ["train", "--resume", "run"]]
)
def test_a_run_asks_for_its_file(trained, words, capsys):
    text = rejection(capsys, *words)
    assert "run needs relaxation 'mine', which came from the file mine.py" in text
    assert "add --plugin PATH/mine.py" in text
    assert run([*words, "--plugin", "mine.py"]) == 0
    assert "warning" not in capsys.readouterr().err


def test_nothing_is_imported_because_a_run_says_so(trained):
    (trained / "run" / "mine.py").write_text("open('was-run', 'w')")
    write("open('was-run', 'w')")
    saved = json.loads((trained / "run" / "config.json").read_text())
    saved["plugins"][-1]["file"] = saved["plugins"][-1]["target"] = str(trained / "mine.py")
    (trained / "run" / "config.json").write_text(json.dumps(saved))
    assert run(["evaluate", "run"]) == 5
    assert not Path("was-run").exists()


@pytest.mark.parametrize(
    "words", [["evaluate", "run", "--json"], ["sample", "run"], ["train", "--resume", "run"]]
)
def test_a_file_that_has_changed_is_warned_of(trained, words, capsys):
    was = hashlib.sha256(Path("mine.py").read_bytes()).hexdigest()[:12]
    write(SOURCE + HOOK + "# changed\n")
    now = hashlib.sha256(Path("mine.py").read_bytes()).hexdigest()[:12]
    assert run([*words, "--plugin", "mine.py"]) == 0
    out, err = capsys.readouterr()
    (warning,) = (line for line in err.splitlines() if line.startswith("warning: "))
    assert warning.endswith(
        f"run was trained with relaxation 'mine' from mine.py (sha256 {was}), "
        f"which now comes from mine.py (sha256 {now})"
    )
    assert not out or json.loads(out)


def test_a_file_that_became_something_else_is_warned_of(trained):
    packaged = relaxit.register(class_of("mine.py"))
    try:
        (change,) = RunDirectory(Path("run")).plugin_changes()
    finally:
        relaxit.unregister(packaged)
    assert change.endswith("which now comes from session")


def test_resume_takes_files_and_nothing_new_besides(trained, monkeypatch, capsys):
    monkeypatch.setenv("RELAXIT_PLUGIN", "mine.py")  # is no setting
    assert "add --plugin" in rejection(capsys, "train", "--resume", "run")
    words = ["train", "--resume", "run", "--plugin", "mine.py", "--epochs", "2"]
    assert "--lr" in rejection(capsys, *words, "--lr", "0.1", code=2)
    assert run([*words, "--quiet"]) == 0
    assert [row["epoch"] for row in RunDirectory(trained / "run").read_metrics()] == [1, 2]


@pytest.mark.parametrize("plugins", [3, [3], {}, None])
def test_a_damaged_record_is_said_to_be_so(trained, plugins, capsys):
    saved = json.loads((trained / "run" / "config.json").read_text())
    (trained / "run" / "config.json").write_text(json.dumps({**saved, "plugins": plugins}))
    assert "damaged" in rejection(capsys, "evaluate", "run", code=4)
