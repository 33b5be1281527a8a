"""``relaxit train`` with the names of the field: the run is that of the registered names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relaxit.cli.app import run
from relaxit.cli.flags import configure


@pytest.mark.parametrize(
    ("key", "alias", "name"),
    [
        ("relaxation.name", "gumbel-softmax", "categorical"),
        ("estimator.name", "ste", "straight-through"),
    ],
)
def test_options_of_the_recipe_are_kept(key, alias, name):
    # Where a flag names another plugin than the recipe, its options are dropped.
    assert configure(None, {key: alias}, {}) == configure(None, {key: name}, {})


def test_an_alias_in_a_recipe(tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text('[relaxation]\nname = "concrete"\noptions = { categories = 4 }\n')
    config = configure(str(recipe), {"latents": 2, "epochs": 1}, {})
    assert config.relaxation.name == "categorical"
    assert config.relaxation.options["categories"] == 4


def test_it_trains_and_the_run_has_the_registered_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = ["--relaxation", "gumbel-softmax", "--estimator", "ste", "--epochs", "1"]
    flags += ["--latents", "2", "-o", "categories=3", "--device", "cpu", "--quiet"]
    assert run(["train", *flags, "--out", "mine"]) == 0
    saved = json.loads(Path("mine", "config.json").read_text())["config"]
    assert saved["relaxation"]["name"] == "categorical"
    assert saved["estimator"]["name"] == "straight-through"
