"""One table of options gives flags, environment variables, help and names in messages."""

from __future__ import annotations

import inspect
import json

import pytest

from relaxit.cli.app import run
from relaxit.cli.train import train
from relaxit.cli.train_options import FLAGS, OPTION_FLAGS, OPTIONS
from relaxit.training import RunConfig, resolve
from tests.cli.short_runs import SMALL, last_line

VALUES = {
    "relaxation.name": "binary", "estimator.name": "st-gumbel", "task.name": "vae",
    "data.name": "digits", "latents": "3", "temperature.initial": "0.7",
    "temperature.schedule": "linear", "temperature.final": "0.4", "temperature.rate": "0.01",
    "task.options.kl": "discrete", "task.options.prior_temperature": "0.3",
    "task.options.kl_warmup": "0.25", "data.options.binarise": "dynamic", "data.dir": "there",
    "data.validation": "7", "epochs": "4", "batch_size": "9", "optimizer.method": "radam",
    "optimizer.lr": "0.02", "optimizer.schedule": "constant", "optimizer.warmup": "0.1",
    "optimizer.weight_decay": "0.2", "seed": "5", "device": "cpu", "engine": "eager",
    "precision": "bfloat16",
}  # fmt: skip
KEYED = [option for option in OPTIONS if option.key]


def at(config, key):
    for word in key.split("."):
        config = config[word]
    return config


def dry(capsys, *flags):
    assert run(["train", *flags, "--dry-run", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("option", KEYED, ids=lambda option: option.flag)
def test_each_flag_and_its_variable_set_their_key(option, capsys, monkeypatch):
    value = VALUES[option.key]
    typed = dry(capsys, option.flag, value)
    assert str(at(typed, option.key)) == value
    if option.env:
        monkeypatch.setenv(f"RELAXIT_{option.parameter.upper()}", value)
        assert dry(capsys) == typed


def test_every_key_of_a_configuration_of_numbers_has_one_flag():
    assert len({option.flag for option in OPTIONS}) == len(OPTIONS)
    assert len(FLAGS) == len(KEYED) == len(VALUES)
    known = RunConfig.model_fields.keys() - {"recipe", "variables"}
    assert {key.partition(".")[0] for key in FLAGS} == known


@pytest.mark.parametrize(
    ("short", "long", "flags", "key"),
    [
        ("-o", "--option", ["categories=4"], "relaxation.options.categories"),
        ("-e", "--estimator-option", ["draws=4"], "estimator.options.draws"),
        ("-t", "--task-option", ["kl_warmup=0.5"], "task.options.kl_warmup"),
        ("-d", "--dataset-option", ["binarise=dynamic"], "data.options.binarise"),
    ],
)
def test_short_and_long_names_of_options_are_the_same(short, long, flags, key, capsys):
    chosen = ["--estimator", "gumbel-rao"] if short == "-e" else []
    first = dry(capsys, *chosen, short, *flags)
    assert dry(capsys, *chosen, long, *flags) == first
    assert str(at(first, key)) == flags[0].partition("=")[2]


@pytest.mark.parametrize(
    ("shorthand", "option"),
    [
        (["--kl", "relaxed"], ["-t", "kl=relaxed"]),
        (["--kl-warmup", "0.5"], ["-t", "kl_warmup=0.5"]),
        (["--prior-temperature", "0.5"], ["-t", "prior_temperature=0.5"]),
        (["--binarise", "dynamic"], ["-d", "binarise=dynamic"]),
    ],
)
def test_shorthands_are_options(shorthand, option, capsys):
    assert dry(capsys, *shorthand) == dry(capsys, *option)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--task polynomial --kl relaxed", "polynomial has no option kl"),
        ("--task polynomial --kl-warmup 0.1", "polynomial has no option kl_warmup"),
        ("--task polynomial --binarise dynamic", "constant has no option binarise"),
        ("--task polynomial -t kl=relaxed", "polynomial has no option kl"),
        ("-d levels=3", "digits has no option levels; it has: binarise"),
        ("-d binarise=grey", "-d binarise"),
        ("-t likelihood=poisson", "-t likelihood"),
        ("-t kl_warmup=2", "-t kl_warmup must be at most 1, got 2"),
        ("--kl both", "kl"),
        ("--kl-warmup 2", "kl_warmup"),
        ("-t likelihood=categorical", "needs inputs that are integers at least 0"),
        ("-e x=1", "pathwise has no option x"),
    ],
)
def test_options_of_another_task_or_data_set_are_one_line(flags, said, tmp_path, capsys):
    assert run(["train", *SMALL, *flags.split(), "--out", "run"]) == 2
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 1
    assert said in err
    assert list(tmp_path.iterdir()) == []


FIXED = [option for option in OPTIONS if not option.resumable]


@pytest.mark.parametrize("option", FIXED, ids=lambda option: option.flag)
def test_what_cannot_change_in_mid_run_is_said_by_name(option, trained, capsys):
    words = [] if option.type is bool else [VALUES.get(option.key, "a=1")]
    before = {p: p.read_bytes() for p in trained.iterdir() if p.is_file()}
    assert run(["train", "--resume", str(trained), option.flag, *words]) == 2
    assert f"; {option.shown} cannot change in mid-run" in last_line(capsys)
    assert {p: p.read_bytes() for p in trained.iterdir() if p.is_file()} == before


def test_the_signature_and_the_help_hold_every_option(capsys, monkeypatch):
    parameters = set(inspect.signature(train).parameters)
    assert {option.parameter for option in OPTIONS} | {"context", "plugin_files"} == parameters
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(option.flag in shown for option in OPTIONS)
    assert all(flag in shown for flag in OPTION_FLAGS.values())


def test_a_task_without_recipe_starts_from_its_own_defaults(capsys):
    config = dry(capsys, "--task", "polynomial")
    assert config["recipe"] == ""
    wanted = resolve([{"task": {"name": "polynomial"}}]).model_dump(mode="json")
    for key in ("latents", "epochs", "batch_size", "optimizer", "temperature", "seed"):
        assert config[key] == wanted[key], key
    assert (config["latents"], config["data"]["name"]) == (128, "constant")
    assert dry(capsys)["recipe"] == "categorical-vae"
    assert dry(capsys, "--task", "vae")["recipe"] == "categorical-vae"


def test_a_recipe_file_stands_alone_and_inherits_from_its_base(tmp_path, capsys):
    (tmp_path / "alone.toml").write_text("latents = 3\n")
    alone = dry(capsys, "--recipe", "alone.toml")
    assert alone["task"]["options"]["kl_warmup"] == 0
    assert alone["optimizer"]["schedule"] == alone["temperature"]["schedule"] == "constant"
    assert (alone["optimizer"]["weight_decay"], alone["optimizer"]["warmup"]) == (0, 0)
    (tmp_path / "based.toml").write_text('base = "categorical-vae"\nlatents = 3\n')
    based, default = dry(capsys, "--recipe", "based.toml"), dry(capsys)
    assert based == {**default, "latents": 3, "recipe": "based"}
