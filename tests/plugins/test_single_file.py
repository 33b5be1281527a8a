"""One Python file as a plugin, with nothing installed: its module, its names, its state."""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path

import pytest

import relaxit
from relaxit import PluginError, UnknownName
from relaxit.cli.app import run
from relaxit.hooks import OWN_DISTRIBUTION
from relaxit.plugins import registry
from relaxit.plugins.registry import load_file, unload_file
from tests.plugins.plugin_files import DECORATED, HOOK, SMALL, SOURCE, class_of, rejection, write

pytestmark = pytest.mark.usefixtures("fresh_session")


def test_the_same_file_again_is_as_it_is_now(capsys):
    stamp = None
    for word in ("three", "seven"):  # of one length and one time, so that no cache could tell
        write((SOURCE + HOOK).replace("one of three", f"one of {word}"))
        stamp = stamp or Path("mine.py").stat()
        os.utime("mine.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        assert run(["show", "mine", "--plugin", "mine.py", "--plugin", "./mine.py", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["summary"] == f"one of {word}"


def test_load_file_in_python(tmp_path):
    first = load_file(write())
    assert first.provides == {"relaxation": ["mine"]}
    old = type(relaxit.get("mine"))
    second = load_file(tmp_path / "mine.py")
    assert type(relaxit.get("mine")) is not old
    assert [p for p in registry.default_registry().plugins if p.sha256] == [second]
    write("1 / 0")
    with pytest.raises(PluginError):
        load_file("mine.py")
    kept = relaxit.get("mine")  # what was loaded stays as it was
    assert pickle.loads(pickle.dumps(kept)) == kept
    unload_file("mine.py")
    unload_file("mine.py")
    with pytest.raises(UnknownName):
        relaxit.get("mine")


def test_another_file_of_that_name(capsys):
    write()
    other = write(SOURCE.replace('"mine"', '"other"') + HOOK, "b/mine.py")
    said = rejection(capsys, "list", "--plugin", "mine.py", "--plugin", other)
    assert "the name mine.py is taken by" in said
    assert run(["list", "--plugin", other]) == 0
    assert run(["list", "--plugin", "mine.py"]) == 0


def test_its_module(tmp_path):
    path = list(sys.path)
    for name in ("json.py", "my file-2.py"):
        write(SOURCE + HOOK, name)
        load_file(name)
        found = relaxit.relaxations()["mine"]
        module = sys.modules[found.__module__]
        assert module.Pick is found
        assert found.__module__.isidentifier()
        assert Path(module.__file__) == tmp_path / name
        assert pickle.loads(pickle.dumps(found())) == found()
        unload_file(name)
    assert sys.modules["json"] is json
    assert sys.path == path


def test_paths_are_those_of_the_working_directory():
    write("three", "summary.txt")
    source = SOURCE.replace('"one of three"', "open('summary.txt').read()") + HOOK
    assert load_file(write(source, "b/mine.py")).state == "ok"
    assert relaxit.get("mine").summary == "three"


def test_recipes_and_commands_are_remarked_on():
    source = DECORATED + (
        "\nimport pathlib, typer\n"
        "@hookimpl\ndef relaxit_recipes():\n    return [pathlib.Path('a.toml')]\n"
        "@hookimpl\ndef relaxit_commands():\n    return [typer.Typer(name='greet')]\n"
    )
    plugin = load_file(write(source))
    assert plugin.provides == {"relaxation": ["mine"]}
    assert plugin.state == "ok"
    assert sorted(remark.split()[0] for remark in plugin.remarks) == ["commands", "recipes"]


def test_a_taken_name(capsys):
    path = write(SOURCE.replace('"mine"', '"binary"') + HOOK)
    flags = ["train", *SMALL, "--plugin", path, "--quiet", "--out"]
    text = rejection(capsys, *flags, "a", "--relaxation", "binary")
    assert f"write {OWN_DISTRIBUTION}:binary or mine.py:binary" in text
    assert not Path("a").exists()
    for spelling in (f"{OWN_DISTRIBUTION}:binary", "mine.py:binary"):
        out = f"run-{spelling.partition(':')[0]}"
        assert run([*flags, out, "--relaxation", spelling]) == 0
        assert run(["evaluate", out, "--plugin", path, "--json"]) == 0
    capsys.readouterr()
    assert "add --plugin PATH/mine.py" in rejection(capsys, "evaluate", "run-mine.py")
    assert run(["list", "--plugin", path]) == 0
    assert "mine.py:binary" in capsys.readouterr().out
    assert "mine.py:binary" in rejection(capsys, "--strict-plugins", "list", "--plugin", path)
    assert run(["train", *SMALL, "--relaxation", "binary", "--dry-run"]) == 0  # untouched


def test_a_name_of_the_session():
    path = write()
    relaxit.register(class_of(path))
    try:
        load_file(path)
        with pytest.raises(PluginError, match=r"session:mine or mine\.py:mine"):
            relaxit.get("mine")
    finally:
        relaxit.unregister(registry.default_registry().find("relaxation", "session:mine"))
