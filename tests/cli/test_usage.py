"""Mistakes in a command line that are found before the command begins."""

from __future__ import annotations

import pytest
import typer

from relaxit.cli import app as cli
from relaxit.cli.app import run


def groups(application: typer.Typer, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of the root and of all groups below it."""
    below = [groups(g.typer_instance, (*path, g.name)) for g in application.registered_groups]
    return [path, *(each for found in below for each in found)]


@pytest.mark.parametrize("path", groups(cli.app), ids=lambda path: "-".join(path) or "root")
@pytest.mark.parametrize("rich", [True, False])
def test_a_group_without_a_command_prints_its_help(path, rich, capsys, monkeypatch):
    monkeypatch.setattr("typer.core.HAS_RICH", rich)
    assert run(list(path)) == 2
    out, err = capsys.readouterr()
    assert f"Usage: relaxit {' '.join((*path, '[OPTIONS] COMMAND'))}" in out + err
    assert "error:" not in err
    assert len((out + err).splitlines()) > 5


@pytest.mark.parametrize("path", groups(cli.app), ids=lambda path: "-".join(path) or "root")
def test_an_unknown_command_says_where_they_are_listed(path, capsys):
    assert run([*path, "qqqq"]) == 2
    words = " ".join(("relaxit", *path))
    said = f"error: No such command 'qqqq'. See {words} --help.\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("show", "Missing argument NAME. See relaxit show --help."),
        ("evaluate", "Missing argument RUN. See relaxit evaluate --help."),
        ("zoo show", "Missing argument NAME. See relaxit zoo show --help."),
        ("list --jsn", "No such option: --jsn. Did you mean --json?"),
        ("list --qqqq", "No such option: --qqqq. See relaxit list --help."),
        ("train --epochs two", "--epochs must be an integer, got 'two'. See relaxit train --help."),
        ("train --lr x", "--lr must be a number, got 'x'. See relaxit train --help."),
        ("reproduce --seeds 0", "--seeds must be at least 1, got 0. See relaxit reproduce --help."),
        ("sample . --count x", "--count must be an integer, got 'x'. See relaxit sample --help."),
        ("trian", "No such command 'trian'. Did you mean 'train'?"),
    ],
)
def test_a_mistake_is_one_line(line, said, capsys):
    assert run(line.split()) == 2
    assert capsys.readouterr().err == f"error: {said}\n"


def test_a_value_of_the_environment_is_named_as_such(capsys, monkeypatch):
    monkeypatch.setenv("RELAXIT_EPOCHS", "two")
    assert run(["train"]) == 2
    said = "--epochs (from RELAXIT_EPOCHS) must be an integer, got 'two'"
    assert said in capsys.readouterr().err
    assert run(["train", "--epochs", "three"]) == 2
    assert "RELAXIT" not in capsys.readouterr().err
