"""The package that is written: its files, and all of them or none."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import relaxit
from relaxit.errors import CheckpointError
from relaxit.plugins import scaffold
from relaxit.plugins.scaffold import Names, render
from tests.plugins.scaffold.packages import SHAPES, written


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", [1, 5, "rename"])
def test_whole_or_not_at_all(tmp_path, monkeypatch, error, step):
    calls = []
    whole = render.write_atomically

    def fail(*_):
        raise error

    def write(path, text):
        calls.append(path)
        if len(calls) == step:
            fail()
        whole(path, text)

    monkeypatch.setattr(render, "write_atomically", write)
    if step == "rename":
        monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(CheckpointError if isinstance(error, OSError) else KeyboardInterrupt):
        scaffold.new_plugin("demo", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SHAPES)
def test_every_file(tmp_path, name):
    package, module = scaffold.new_plugin(name, tmp_path), Names.of(name).module
    assert package == tmp_path / f"relaxit-{name}"
    assert written(package) == [
        ".github/workflows/ci.yml",
        ".gitignore",
        "README.md",
        "pyproject.toml",
        f"src/{module}/__init__.py",
        f"src/{module}/distribution.py",
        f"src/{module}/hooks.py",
        f"src/{module}/py.typed",
        f"src/{module}/relaxation.py",
        "tests/test_conformance.py",
    ]
    for path in map(package.joinpath, written(package)):
        text = path.read_text(encoding="utf-8")
        assert "%{" not in text
        assert "MODULE" not in text
        assert path.suffix != ".py" or ast.parse(text)
        assert path.suffix != ".yml" or yaml.safe_load(text)["jobs"]
    assert list(tmp_path.iterdir()) == [package]  # nothing temporary


def test_the_project_file(tmp_path):
    package = scaffold.new_plugin("my-structure", tmp_path)
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert (project["name"], project["version"]) == ("relaxit-my-structure", "0.1.0")
    assert project["entry-points"] == {
        "relaxit.plugins": {"my-structure": "relaxit_my_structure.hooks"}
    }
    (dependency,) = project["dependencies"]
    assert dependency == render.core_requirement(relaxit.__version__)
    assert re.fullmatch(r"relaxit-framework>=[\w.]+,<[\d.]+", dependency)


def test_the_workflow(tmp_path):
    text = (scaffold.new_plugin("demo", tmp_path) / ".github/workflows/ci.yml").read_text()
    lines = [step.get("run", "") for step in yaml.safe_load(text)["jobs"]["test"]["steps"]]
    assert "${{ matrix.python }}" in text
    assert 'pip install "$CORE" -e ".[dev]"' in lines
    assert "relaxit --strict-plugins check demo" in lines


@pytest.mark.parametrize("name", SHAPES)
def test_it_is_tidy(tmp_path, name):
    package = scaffold.new_plugin(name, tmp_path)
    for command in (["check"], ["format", "--diff"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
        done = subprocess.run(ruff, cwd=package, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_mode_of_its_directory_is_the_users(tmp_path):
    (tmp_path / "plain").mkdir()
    package = scaffold.new_plugin("demo", tmp_path)
    assert package.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_directory_given_as_text(tmp_path):
    (tmp_path / "below").mkdir()
    assert scaffold.new_plugin("demo", "below") == Path("below/relaxit-demo")
