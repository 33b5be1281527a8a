"""Plugin files that have a problem, and paths that are no plugin files, end the command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from relaxit.cli.app import run
from tests.plugins.plugin_files import DECORATED, HOOK, SOURCE, rejection, write

pytestmark = pytest.mark.usefixtures("fresh_session")

WRONG_HOOK = HOOK.replace("relaxit_relaxations", "relaxit_relaxation")
BAD = {
    "import": ("import no_such_module", "import failed: ModuleNotFoundError"),
    "syntax": ("def (", "import failed: SyntaxError"),
    "encoding": (b"x = '\xff'", "import failed: SyntaxError"),
    "null": (b"\0", "import failed: "),
    "exit": ("raise SystemExit(0)", "import failed: SystemExit"),
    "empty": ("", "provides nothing: mark a hook with @relaxit.hookimpl"),
    "unmarked": (SOURCE, "provides nothing"),
    "no mark": (SOURCE + HOOK.replace("@hookimpl", ""), "relaxit_relaxations is not marked"),
    "misspelt": (SOURCE + WRONG_HOOK, "unknown hook 'relaxit_relaxation'"),
    "misspelt beside": (DECORATED + WRONG_HOOK, "unknown hook 'relaxit_relaxation'"),
    "api": (SOURCE.replace("1, ", "2, ") + HOOK, "was written for api 2, this relaxit has api 1"),
    "decorated api": (DECORATED.replace("1, ", "2, "), "was written for api 2"),
    "raises": (SOURCE + HOOK.replace("[Pick]", "1 / 0"), "relaxit_relaxations raised ZeroDiv"),
    "no class": ("import relaxit\nrelaxit.register(3)", "3 is not a relaxation class"),
    "odd name": (DECORATED.replace('"mine"', "[]"), "name must be lower-case"),
    "twice": (DECORATED + "\nrelaxit.register(type('B', (Pick,), {'api': 1}))", "is defined twice"),
}


@pytest.mark.parametrize(("source", "said"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("words", [["list"], ["train", "--dry-run"]], ids=lambda words: words[0])
def test_a_bad_file_ends_the_command(source, said, words, capsys):
    Path("bad.py").write_bytes(source if isinstance(source, bytes) else source.encode())
    text = rejection(capsys, *words, "--plugin", "bad.py")
    assert text.startswith("error: plugin file bad.py: ")
    assert said in text
    assert not [name for name in sys.modules if name.startswith("relaxit_file_bad")]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("absent.py", "does not exist"),
        ("nowhere/absent.py", "does not exist"),
        ("text.txt", "does not end in .py"),
        ("directory", "does not end in .py"),
        ("directory.py", "cannot be read"),
    ],
)
def test_a_path_that_is_no_plugin_file(path, said, capsys):
    write("", "text.txt")
    for name in ("directory", "directory.py"):
        Path(name).mkdir()
    text = rejection(capsys, "plugins", "--plugin", path)
    assert text.startswith(f"error: plugin file {path} ")
    assert said in text


def test_debug_shows_the_line_of_the_file(monkeypatch, capsys):
    monkeypatch.setenv("RELAXIT_DEBUG", "1")
    assert run(["list", "--plugin", write("x = 0\n1 / x  # here")]) == 5
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "1 / x  # here" in err


def test_ctrl_c_is_not_a_problem_of_the_file(capsys):
    assert run(["list", "--plugin", write("raise KeyboardInterrupt")]) == 130


def test_a_module_beside_the_file(tmp_path, monkeypatch, capsys):
    write("size = 3", "b/helper.py")
    path = write("import helper\n" + SOURCE + HOOK, "b/mine.py")
    assert f"set PYTHONPATH={tmp_path / 'b'}" in rejection(capsys, "list", "--plugin", path)
    monkeypatch.syspath_prepend(str(tmp_path / "b"))
    assert run(["list", "--plugin", path]) == 0
    del sys.modules["helper"]
