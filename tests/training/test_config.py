"""Configurations are merged from layers, and recipe files are data only."""

import json

import pytest

from relaxit import zoo
from relaxit.errors import ConfigurationError
from relaxit.tasks.vae.task import VaeTask
from relaxit.training.config import RunConfig, combine, merge, resolve
from relaxit.training.recipe_files import read_recipe

BASE = {"relaxation": {"name": "a", "options": {"n": 3}}, "latents": 2, "epochs": 1}


def test_later_layers_win_key_by_key():
    config = resolve(
        [{**BASE, "optimizer": {"lr": 0.1, "warmup": 0.2}}, {"optimizer": {"lr": 0.3}}]
    )
    assert (config.optimizer.lr, config.optimizer.warmup, config.latents) == (0.3, 0.2, 2)


def test_options_belong_to_the_name_they_were_given_for():
    assert resolve([BASE, {"relaxation": {"options": {"m": 1}}}]).relaxation.options == {
        "n": 3,
        "m": 1,
    }
    assert resolve([BASE, {"relaxation": {"name": "a"}}]).relaxation.options == {"n": 3}
    assert resolve([BASE, {"relaxation": {"name": "b"}}]).relaxation.options == {}


def test_dataset_tables_apply_to_the_dataset_finally_chosen():
    layer = {**BASE, "when": {"digits": {"epochs": 9}, "mnist": {"epochs": 5}}}
    assert resolve([layer]).epochs == 9
    assert resolve([layer, {"data": {"name": "mnist"}}]).epochs == 5
    assert resolve([layer, {"data": {"name": "mnist"}, "epochs": 7}]).epochs == 7


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ({"epoch": 3}, "epoch: unknown key; did you mean 'epochs'"),
        ({"optimizer": {"lrr": 3}}, "optimizer.lrr: unknown key; did you mean 'lr'"),
        ({"epochs": True}, "epochs (--epochs)"),
        ({"epochs": "5 "}, "epochs (--epochs)"),
        ({"epochs": 2.5}, "epochs (--epochs)"),
        ({"optimizer": {"lr": "1e-3"}}, "in YAML write 1.0e-3"),
        ({"temperature": {"initial": 0.0}}, "temperature.initial"),
        ({"temperature": {"initial": float("nan")}}, "finite"),
        ({"temperature": {"initial": float("inf")}}, "finite"),
        ({"latents": 0}, "latents"),
        ({"seed": -1}, "seed"),
        ({"relaxation": {"name": ""}}, "relaxation.name"),
        ({"objective": "relaxed"}, "objective: unknown key"),
        ({"task": "vae"}, "task"),
        ({"data": {"binarize": "none"}}, "data.binarize: unknown key"),
        ({"variables": {"x": {}}}, "variables.x.relaxation"),
        (
            {"variables": {"x": {"relaxation": {"name": "a"}, "latent": 2}}},
            "variables.x.latent: unknown key; did you mean 'latents'",
        ),
    ],
)
def test_bad_values_are_named_with_their_path(layer, said):
    with pytest.raises(ConfigurationError) as caught:
        resolve([BASE, layer], {"epochs": "--epochs"})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_what_is_saved_can_be_fed_back(tmp_path):
    config = resolve([BASE, {"data": {"options": {"binarise": "dynamic"}}}])
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps({"format": 2, "config": config.model_dump(mode="json"), "versions": {}})
    )
    assert resolve([read_recipe(path)]) == config


@pytest.mark.parametrize("suffix", ["toml", "yaml", "json"])
def test_the_three_formats_say_the_same(tmp_path, suffix):
    texts = {
        "toml": "latents = 4\n[optimizer]\nlr = 0.5\n",
        "yaml": "latents: 4\noptimizer:\n  lr: 0.5\n",
        "json": '{"latents": 4, "optimizer": {"lr": 0.5}}',
    }
    path = tmp_path / f"mine.{suffix}"
    path.write_text(texts[suffix])
    config = resolve([*zoo.recipe_layers(str(path))])
    assert (config.recipe, config.latents, config.optimizer.lr) == ("mine", 4, 0.5)
    assert config.relaxation.name == VaeTask.defaults["relaxation"]["name"]


BOMB = "a: &a [1, 1]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.yaml", "a: !!python/object/apply:os.system ['touch HACKED']\n"),
        ("x.yaml", BOMB),
        ("x.yaml", "[1, 2"),
        ("x.yaml", "- 1\n"),
        ("x.toml", "a = "),
        ("x.json", "[" * 100_000),
        ("x.json", " " * (2 << 20)),
        ("x.txt", "a = 1"),
        ("x.toml", None),
    ],
)
def test_a_recipe_file_is_data_only(tmp_path, monkeypatch, name, text):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_recipe(path)
    assert name in str(caught.value) or "recipe file must end in" in str(caught.value)
    assert not (tmp_path / "HACKED").exists()


def test_every_field_is_described():
    def walk(model, path=""):
        for name, field in model.model_fields.items():
            nested = getattr(field.annotation, "model_fields", None)
            if nested:
                walk(field.annotation, f"{path}{name}.")
            else:
                assert field.description, path + name

    walk(RunConfig)


def test_combine_ignores_a_data_section_that_is_no_table():
    assert combine([{"data": 3}]) == {"data": 3}


def test_our_name_with_its_distribution_keeps_the_options():
    base = {"relaxation": {"name": "x", "options": {"k": 1}}}
    same = merge(base, {"relaxation": {"name": "relaxit-framework:x"}})
    assert same["relaxation"] == {"name": "relaxit-framework:x", "options": {"k": 1}}
    for other in ("relaxit-y:x", "relaxit-framework:z"):
        table = merge(base, {"relaxation": {"name": other}})
        assert table["relaxation"] == {"name": other, "options": {}}
