"""``relaxit check``: outcomes, exit codes and messages."""

from __future__ import annotations

import json

import pytest

import relaxit
from relaxit.cli.app import run
from relaxit.testing import checks
from tests.testing.broken.relaxations import discrete
from tests.testing.expected_failures import Declared
from tests.testing.sound import choices


class Wrong(discrete.WrongMode):
    name = "wrong-mode"


@pytest.fixture
def registered():
    """Registers classes for one test."""
    classes = []

    def register(cls):
        classes.append(relaxit.register(cls))
        return cls

    yield register
    for cls in classes:
        relaxit.unregister(cls)


def test_command_passes(registered, capsys):
    registered(choices.Choice)
    assert run(["check", "choice"]) == 0
    shown = capsys.readouterr()
    assert "Choice(size=2), Choice(size=3)" in shown.out
    assert "0 fail" in shown.err


def test_command_fails_and_prints_the_property(registered, capsys):
    registered(Wrong)
    assert run(["check", "wrong-mode", "-o", "size=4"]) == 5
    shown = capsys.readouterr()
    assert "mode_by_enumeration: `discrete.mode` is a value of the greatest mass, also" in shown.out
    assert " 1 fail;" in shown.err


def test_command_as_json(registered, capsys):
    registered(Declared)
    assert run(["check", "declared", "-o", "size=2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is True
    assert found["counts"]["expected failure"] == 1
    assert len(found["results"]) == len(checks("relaxation"))
    assert found["results"][0]["subject"] == "Declared(size=2)"


def test_command_runs_one_check(registered, capsys):
    registered(Wrong)
    only = ["--only", "low_temperature_gives_hard_values", "--only", "is_picklable"]
    assert run(["check", "wrong-mode", *only]) == 0
    assert capsys.readouterr().err.startswith("4 pass, ")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["categorical", "--only", "low_temperature_gives_hard_value"],
            2,
            "unknown check 'low_temperature_gives_hard_value'. "
            "Did you mean low_temperature_gives_hard_values",
        ),
        (["categorcal"], 2, "Did you mean categorical"),
        (
            ["categorical", "-o", "categories=0"],
            2,
            "categorical: -o categories must be at least 1, got 0",
        ),
        (["categorical", "-o", "categories"], 2, "takes KEY=VALUE"),
        (["digits"], 2, "'digits' is a data set; relaxations and estimators can be checked"),
        (["categorical", "--device", "cuda:99"], 2, "cuda:99"),
    ],
)
def test_command_rejects_in_one_line(capsys, arguments, code, said):
    assert run(["check", *arguments]) == code
    shown = capsys.readouterr().err.strip()
    assert said in shown
    assert len(shown.splitlines()) == 1
