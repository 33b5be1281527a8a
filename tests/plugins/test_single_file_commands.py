"""``--plugin FILE``: the commands that take plugin files, and what they do with them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import typer

import relaxit
from relaxit.cli.app import app, run
from relaxit.plugins.registry import load_file
from tests.pages import page_of
from tests.plugins.plugin_files import DECORATED, HOOK, SMALL, SOURCE, rejection, write

pytestmark = pytest.mark.usefixtures("fresh_session")

EACH_COMMAND = pytest.mark.parametrize(
    "words", [["train", "--dry-run"], ["evaluate", "run"], ["sample", "run"], ["check", "mine"],
              ["show", "mine"], ["list"], ["plugins"]], ids=lambda words: words[0]
)  # fmt: skip


@pytest.mark.parametrize("source", [SOURCE + HOOK, DECORATED, DECORATED + HOOK])
@pytest.mark.parametrize("name", ["mine", "file.py:mine"])
def test_a_file_trains(tmp_path, source, name, capsys):
    flags = ["--plugin", write(source, "file.py"), "--relaxation", name, "--out", "run", "--json"]
    assert run(["train", *SMALL, *flags]) == 0
    assert json.loads(capsys.readouterr().out)["test_elbo_discrete"] < 0
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert saved["config"]["relaxation"]["name"] == name
    assert saved["plugins"][-1] == {
        "name": "file",
        "distribution": "file.py",
        "version": "",
        "state": "ok",
        "provides": {"relaxation": ["mine"]},
        "file": "file.py",
        "sha256": hashlib.sha256(source.encode()).hexdigest(),
    }
    assert not any("sha256" in plugin for plugin in saved["plugins"][:-1])
    assert [p.name for p in Path().iterdir() if p.name != "run"] == ["file.py"]  # no bytecode


def test_the_minimal_plugin_of_the_contract_is_such_a_file():
    page = page_of("contract").read_text()
    source = page.partition("```python\n")[2].partition("```")[0]
    flags = ["--plugin", write(source, "bins.py"), "--relaxation", "bins", "--quiet"]
    assert run(["train", *SMALL, *flags, "--out", "run"]) == 0


def test_every_command_that_looks_up_names_takes_files():
    commands = typer.main.get_command(app).commands
    having = {
        name
        for name, command in commands.items()
        if any("--plugin" in param.opts for param in command.params)
    }
    assert having == {
        "train", "evaluate", "sample", "check", "show", "list", "plugins", "reproduce",
    }  # fmt: skip
    for name in having:
        (option,) = (p for p in commands[name].params if "--plugin" in p.opts)
        assert option.multiple
        assert not option.envvar


@EACH_COMMAND
def test_a_command_runs_the_files_before_anything_else(words, capsys):
    text = rejection(capsys, *words, "--plugin", write(), "--plugin", write("1 / 0", "bad.py"))
    assert text.startswith("error: plugin file bad.py: import failed: ZeroDivisionError")


def test_listings(capsys):
    flags = ["--plugin", write("print('hello')\n" + SOURCE + HOOK), "--json"]
    assert run(["list", *flags]) == 0
    (found,) = (r for r in json.loads(capsys.readouterr().out)["relaxation"] if r["name"] == "mine")
    assert found == {"name": "mine", "summary": "one of three", "distribution": "mine.py"}
    assert run(["show", "mine", *flags]) == 0
    assert json.loads(capsys.readouterr().out)["shapes"]["params"] == "[*batch, 3]"
    assert run(["plugins", *flags]) == 0
    found = json.loads(capsys.readouterr().out)[-1]
    assert (found["name"], found["distribution"], found["state"]) == ("mine", "mine.py", "ok")
    assert found["target"] == str(Path("mine.py").resolve())
    assert found["sha256"] == hashlib.sha256(Path("mine.py").read_bytes()).hexdigest()
    assert found["remarks"] == ["printed 6 characters to stdout on import"]
    assert run(["plugins", "--plugin", "mine.py"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "mine mine.py ok mine; printed 6 characters to stdout on import" in out


def test_doctor_tells_remarks(capsys):
    load_file(write("print('hello')\n" + SOURCE + HOOK))
    assert run(["doctor"]) == 0
    line = "plugin mine (mine.py): ok; printed 6 characters to stdout on import"
    assert line in capsys.readouterr().out.splitlines()


def test_several_files_of_several_kinds(capsys):
    estimator = """
    import relaxit
    from relaxit.estimators.pathwise import Pathwise

    @relaxit.register
    class Half(Pathwise):
        api, name = 1, "half"
    """
    dataset = """
    from relaxit import hookimpl
    from relaxit.data.digits import Digits

    class Numbers(Digits):
        api, name = 2, "numbers"

    @hookimpl
    def relaxit_datasets():
        return [Numbers]
    """
    files = [
        write(),
        write("if True:\n" + estimator, "b/my-estimator.py"),
        write("if True:\n" + dataset, "2.py"),
    ]
    flags = [word for file in files for word in ("--plugin", file)]
    flags += ["--relaxation", "mine", "--estimator", "half", "--dataset", "2.py:numbers"]
    assert run(["train", *SMALL, *flags, "--out", "run", "--quiet"]) == 0
    assert "'half'" in rejection(capsys, "evaluate", "run", *flags[:2])
    assert run(["evaluate", "run", *flags[:6], "--json"]) == 0


def test_help_and_completion_run_no_file(capsys):
    path = write("open('was-run', 'w')")
    assert run(["list", "--plugin", path, "--help"]) == 0
    command = typer.main.get_command(app).commands["list"]
    command.make_context("list", ["--plugin", path], resilient_parsing=True)  # as for completion
    assert not Path("was-run").exists()
    assert run(["list", "--plugin", path]) == 5
    assert Path("was-run").exists()


def test_it_lasts_for_one_command(capsys):
    assert run(["show", "mine", "--plugin", write()]) == 0
    assert "mine" not in relaxit.relaxations()
    capsys.readouterr()
    assert "unknown" in rejection(capsys, "show", "mine", code=2)
    # A command line that is rejected after the file was loaded does not keep it either.
    for _ in range(2):
        assert run(["train", "--plugin", "mine.py", "--epochs", "many"]) == 2
    capsys.readouterr()
    assert "unknown" in rejection(capsys, "show", "mine", code=2)
    assert run(["show", "mine", "--plugin", "mine.py"]) == 0
