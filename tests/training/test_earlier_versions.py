"""Recipes and configurations of earlier versions mean what they meant."""

from __future__ import annotations

import copy
import json

import pytest

from relaxit.cli.app import run
from relaxit.errors import ConfigurationError
from relaxit.training.assembly import build_task
from relaxit.training.config import resolve
from relaxit.training.earlier_versions import upgrade
from relaxit.training.recipe_files import read_recipe

OLD = {
    "objective": ({"objective": {"kl_warmup": 0.3}}, {"task": {"options": {"kl_warmup": 0.3}}}),
    "model": (
        {"model": {"hidden": [9, 7], "init": "torch"}},
        {"task": {"options": {"hidden": [9, 7], "init": "torch"}}},
    ),
    "binarise": (
        {"data": {"name": "digits", "binarise": "dynamic", "validation": 10}},
        {"data": {"name": "digits", "options": {"binarise": "dynamic"}, "validation": 10}},
    ),
    "all": (
        {
            "task": {"name": "vae"},
            "objective": {"kl": "relaxed", "prior_temperature": 0.5},
            "model": {"params_activation": "relu"},
            "data": {"binarise": "threshold"},
        },
        {
            "task": {
                "name": "vae",
                "options": {"kl": "relaxed", "prior_temperature": 0.5, "params_activation": "relu"},
            },
            "data": {"options": {"binarise": "threshold"}},
        },
    ),
}
BASE = {"latents": 3, "epochs": 1}


@pytest.mark.parametrize("within", ["", "digits", "mnist"])
@pytest.mark.parametrize(("old", "new"), OLD.values(), ids=OLD)
def test_old_tables_are_the_same_configuration(old, new, within):
    before = copy.deepcopy(old)
    mine, theirs = ({**BASE, "when": {within: t}} if within else {**BASE, **t} for t in (old, new))
    assert resolve([mine]) == resolve([theirs])
    assert (resolve([mine]) == resolve([BASE])) == (within == "mnist")  # of another data set
    assert upgrade(theirs) == theirs
    assert old == before
    build_task(resolve([mine]))


def test_a_later_layer_overrides_the_same_setting_whatever_it_is_called():
    old, new = {"objective": {"kl_warmup": 0.1}}, {"task": {"options": {"kl_warmup": 0.2}}}
    for layers, wanted in (([old, new], 0.2), ([new, old], 0.1)):
        assert resolve([BASE, *layers]).task.options["kl_warmup"] == wanted
    both = {"objective": {"kl_warmup": 0.1}, **new}
    assert resolve([BASE, both]).task.options["kl_warmup"] == 0.2  # today's name, within a layer


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"objective": 3}, "objective: unknown key"),
        ({"model": [1]}, "model: unknown key"),
        ({"task": 3, "model": {"init": "torch"}}, "task"),
        ({"when": {"digits": 3}}, r"when\.digits in a recipe must be a table, got 3"),
    ],
)
def test_what_is_not_a_table_is_named(table, said):
    with pytest.raises(ConfigurationError, match=said):
        resolve([BASE, table])


POLYNOMIAL = {
    "recipe": "polynomial",
    "task": {"name": "polynomial", "options": {"p": 2.0}},
    "relaxation": {"name": "binary", "options": {}},
    "estimator": {"name": "reinmax", "options": {}},
    "latents": 128,
    "objective": {"kl": "discrete", "prior_temperature": None, "kl_warmup": 0.0},
    "model": {"hidden": [512, 256], "params_activation": "none", "init": "scaled"},
    "data": {"name": "constant", "dir": None, "binarise": "none", "validation": 0},
    "epochs": 40,
    "batch_size": 64,
}


def test_settings_that_a_task_did_not_use_are_left_out_of_a_saved_run(tmp_path, capsys):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"format": 1, "config": POLYNOMIAL}))
    config = resolve([read_recipe(path)])
    assert config.task.options == {"p": 2.0}
    assert config.data.options == {}
    assert build_task(config)[0].name == "polynomial"
    assert run(["train", "--recipe", str(path), "--dry-run", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["latents"] == 128


def test_settings_that_it_used_are_kept(tmp_path):
    saved = {**POLYNOMIAL, "task": {"name": "vae", "options": {}}, "latents": 3}
    saved |= {"data": {"name": "digits", "binarise": "dynamic"}, "objective": {"kl_warmup": 0.5}}
    path = tmp_path / "config.json"
    for old in (saved, {key: value for key, value in saved.items() if key != "task"}):
        path.write_text(json.dumps({"format": 1, "config": old}))
        config = resolve([read_recipe(path)])
        assert config.task.name == "vae"  # there was no other when runs named none
        assert config.task.options["kl_warmup"] == 0.5
        assert config.task.options["hidden"] == [512, 256]
        assert config.data.options == {"binarise": "dynamic"}


def test_todays_format_is_not_changed(tmp_path):
    path = tmp_path / "config.json"
    config = {"task": {"name": "vae", "options": {"odd": 3}}, "latents": 3}
    path.write_text(json.dumps({"format": 2, "config": config}))
    assert read_recipe(path) == config


@pytest.mark.parametrize("saved", [{"config": {}}, {"format": 1, "config": {"task": 3}}])
def test_a_damaged_configuration_as_a_recipe_is_one_line(tmp_path, capsys, saved):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(saved))
    assert run(["train", "--recipe", str(path), "--dry-run"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: recipe {path}")
