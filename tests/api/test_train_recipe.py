"""relaxit.train: the same numbers and files as the command line, in the same words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import relaxit
from relaxit.api.train_recipe import configuration
from relaxit.cli.app import run as command
from relaxit.cli.train_options import OPTIONS
from relaxit.errors import ConfigurationError, DataError, UnknownName
from relaxit.training import KEYS
from tests.api.quick import FLAGS, QUICK, without_times


def saved(path: str) -> list[dict]:
    return [json.loads(line) for line in Path(path, "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("estimator", ["pathwise", "reinmax"])
def test_a_run_is_that_of_the_command_line_bit_for_bit(estimator):
    run = relaxit.train(estimator=estimator, lr=2e-3, out="python", **QUICK)
    assert command(["train", *FLAGS, "--estimator", estimator, "--lr", "2e-3", "--out", "cli"]) == 0
    assert without_times(saved("python")) == without_times(saved("cli"))
    assert without_times(run.metrics) == without_times(saved("cli"))
    files = [sorted(p.name for p in Path(name).iterdir()) for name in ("python", "cli")]
    assert files[0] == files[1]
    configs = [json.loads(Path(n, "config.json").read_text())["config"] for n in ("python", "cli")]
    assert configs[0] == configs[1]


def test_every_word_of_the_command_line_is_a_keyword():
    words = {option.parameter for option in OPTIONS if option.key}
    assert words == set(KEYS)
    values = {
        "relaxation": "binary", "estimator": "st-gumbel", "task": "vae", "dataset": "digits",
        "latents": 3, "temperature": 0.7, "schedule": "linear", "final_temperature": 0.3,
        "temperature_rate": 0.1, "kl": "discrete", "prior_temperature": 0.9, "kl_warmup": 0.2,
        "binarise": "dynamic", "data_dir": "there", "validation": 5, "epochs": 7, "batch_size": 11,
        "optimizer": "radam", "lr": 0.5, "lr_schedule": "constant", "lr_warmup": 0.25,
        "weight_decay": 0.125, "seed": 9, "device": "cpu", "engine": "eager",
        "precision": "float32",
    }  # fmt: skip
    assert values.keys() == words
    dump = configuration(None, values).model_dump()
    for word, value in values.items():
        node = dump
        for key in KEYS[word].split("."):
            node = node[key]
        assert node == value, word


def test_objects_and_tables_state_their_options():
    config = configuration(
        None,
        {
            "relaxation": relaxit.get("categorical", categories=7),
            "estimator": relaxit.estimator("gapped-st", gap=0.5),
            "dataset": {"name": "digits", "options": {"binarise": "threshold"}},
            "optimizer": {"lr": 0.25},
        },
    )
    assert config.relaxation.options == {"categories": 7}
    assert config.estimator.options["gap"] == 0.5
    assert config.data.options == {"binarise": "threshold"}
    assert (config.optimizer.lr, config.optimizer.method) == (0.25, "adam")


def test_a_temperature_alone_is_constant():
    assert configuration(None, {"temperature": 0.4}).temperature.schedule == "constant"
    both = configuration(None, {"temperature": 0.4, "schedule": "linear"})
    assert both.temperature.schedule == "linear"


@pytest.mark.parametrize("task", ["vae", "relaxit-framework:vae"])
def test_the_default_task_by_any_name_has_the_default_recipe(task):
    config = configuration(None, {"task": task})
    assert (config.recipe, config.optimizer.schedule) == ("categorical-vae", "cosine")
    assert config.task.options["kl_warmup"] == 0.1


def test_another_task_has_its_own_defaults():
    config = configuration(None, {"task": "polynomial"})
    assert (config.relaxation.name, config.latents, config.data.name) == ("binary", 128, "constant")
    assert config.optimizer.schedule == "constant"


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"epoch": 3}, ConfigurationError, "epoch: unknown key; did you mean 'epochs'?"),
        ({"epochs": 0}, ConfigurationError, "epochs must be at least 1, got 0"),
        ({"lr": -1.0}, ConfigurationError, "optimizer.lr (lr) must be greater than 0, got -1"),
        ({"relaxation": 3}, ConfigurationError, "relaxation must be a name, an object"),
        ({"estimator": relaxit.get("binary")}, ConfigurationError, "estimator must be a name"),
        ({"relaxation": "catgorical"}, UnknownName, "categorical"),
        ({"dataset": "mnist", "data_dir": "nowhere"}, DataError, "mnist is not in"),
        ({"seeds": []}, ConfigurationError, "seeds must be a number from 1"),
        ({"seeds": 0}, ConfigurationError, "seeds must be a number from 1"),
    ],
)
def test_a_wrong_setting_is_rejected_before_anything_is_written(settings, error, text):
    with pytest.raises(error) as caught:
        relaxit.train(out="run", **{**QUICK, **settings})
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("run").exists()


def test_a_run_is_replaced_only_on_request():
    relaxit.train(out="run", **QUICK)
    with pytest.raises(ConfigurationError, match="--overwrite replaces it"):
        relaxit.train(out="run", **QUICK)
    assert len(relaxit.train(out="run", overwrite=True, **{**QUICK, "epochs": 1}).metrics) == 1


def test_without_a_directory_a_new_one_is_made():
    run = relaxit.train(**{**QUICK, "epochs": 1})
    assert run.path is not None
    assert run.path.parent == Path("runs")
    assert (run.path / "model.safetensors").is_file()
