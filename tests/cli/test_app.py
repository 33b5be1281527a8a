"""The root command: commands of plugins, errors in one line, exit codes and interrupts."""

import subprocess
import sys

import pytest

import relaxit
from relaxit.cli.app import run
from tests.cli.short_runs import last_line


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["evaluate", "nowhere"], 4),
        (["sample", "nowhere"], 4),
        (["evaluate", ".", "--importance-samples", "-1"], 2),
        (["sample", ".", "--count", "0"], 2),
        (["show", "categorcal"], 2),
        (["zoo", "show", "nothing"], 2),
        (["trian"], 2),
        (["evaluate"], 2),
    ],
)
def test_other_commands_reject_in_one_line(capsys, arguments, code):
    assert run(arguments) == code
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_plugin_brings_a_command(monkeypatch, capsys):
    import types

    import typer

    from relaxit.cli import app as cli
    from relaxit.plugins import registry

    extra = typer.Typer(name="greet")

    @extra.command()
    def hello(name: str) -> None:
        print(f"hello {name}")

    @extra.command()
    def other() -> None:
        pass

    module = types.ModuleType("module")
    module.relaxit_commands = relaxit.hookimpl(lambda: [extra, typer.Typer(), 3])
    own = registry.Registry(entry_points=[], environ={})
    plugin = registry.PluginRecord("greeter", "dist", "1", "module")
    own.add(plugin, module)
    assert plugin.provides == {"command": ["greet"]}
    assert len(plugin.problems) == 2
    monkeypatch.setattr(registry, "default_registry", lambda: own)
    monkeypatch.setattr(cli.app, "registered_groups", list(cli.app.registered_groups))
    assert run(["greet", "hello", "you"]) == 0
    assert capsys.readouterr().out == "hello you\n"
    assert run(["greet", "hello"]) == 2
    assert run(["gret"]) == 2


def test_strict_plugins(monkeypatch, capsys):
    from relaxit.plugins import registry

    own = registry.Registry(entry_points=[], environ={})
    own.plugins.append(registry.PluginRecord("bad", "dist", "1", "m", problems=["it is broken"]))
    monkeypatch.setattr(registry, "default_registry", lambda: own)
    assert run(["--strict-plugins", "list"]) == 5
    assert "it is broken" in last_line(capsys)


def test_debug_shows_the_traceback(capsys, monkeypatch):
    monkeypatch.setenv("RELAXIT_DEBUG", "1")
    assert run(["train", "--latents", "0"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -c 'from relaxit.cli import main; main()' list | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_ctrl_c_in_a_command_says_so(monkeypatch, capsys):
    from relaxit.testing import api

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "run", interrupted)
    assert run(["check", "binary"]) == 130
    assert capsys.readouterr().err.strip() == "error: stopped"
