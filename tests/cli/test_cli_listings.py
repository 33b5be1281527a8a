"""Commands that list what is installed."""

import json

import pytest

from relaxit.cli.app import run


@pytest.mark.parametrize("command", [["list"], ["plugins"], ["zoo", "list"], ["doctor"]])
def test_listings(capsys, command):
    code = run([*command, "--json"])
    assert json.loads(capsys.readouterr().out)
    assert run(command) == code == 0
    assert "categorical" in capsys.readouterr().out


def test_a_broken_recipe_of_a_plugin_is_listed_as_such(tmp_path, monkeypatch, capsys):
    from relaxit import zoo

    (tmp_path / "bad.toml").write_text("a = ")
    own = zoo.recipes()
    monkeypatch.setattr(zoo, "recipes", lambda: {**own, "bad": tmp_path / "bad.toml"})
    assert run(["zoo", "list"]) == 0
    assert "cannot be read" in capsys.readouterr().out
