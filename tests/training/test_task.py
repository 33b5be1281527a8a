"""A task other than the autoencoder is configured, trained, resumed and evaluated."""

import json
import signal
from pathlib import Path

import pytest
import torch

from relaxit.cli.app import run
from relaxit.plugins import registry
from relaxit.training.building import build
from relaxit.training.callbacks import SilentCallback
from relaxit.training.config import OptimizerConfig, TemperatureConfig, resolve
from relaxit.training.runs.directory import RunDirectory
from relaxit.training.runs.loading import open_model, open_run
from relaxit.training.stopping import StopRequest
from relaxit.training.task import Terms
from relaxit.training.trainer import Trainer
from relaxit.zoo import recipe_layers
from tests.training.chooser import FLAGS, TASK, Chooser
from tests.training.small import small_config
from tests.training.small_runs import StopAfter, run_at, weights

pytestmark = pytest.mark.usefixtures("chooser_registered")


def test_trains_from_the_command_line_and_improves(tmp_path, capsys):
    flags = [*FLAGS, "--epochs", "6", "--lr", "0.02", "--validation", "100", "--out", "run"]
    assert run(["train", *flags, "--task-option", "price=0.1", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["train_wrong"] < 0.5
    assert "minimises the cross-entropy of a classifier of 64 pixels" in err
    assert "epoch 6/6: wrong train 0." in err
    assert "training loss" in err
    rows = RunDirectory(tmp_path / "run").read_metrics()
    for part in ("train", "validation", "test"):
        assert rows[-1][f"{part}_wrong"] < rows[0][f"{part}_wrong"]
        assert rows[-1][f"{part}_wrong"] < 0.5  # of ten classes: guessing has 0.9
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert not [key for key in rows[-1] if "kl" in key or "elbo" in key]
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "config.json", "metrics.jsonl", "model.safetensors", "train_state.pt", "tensorboard",
        "gates.png", "curves.png",
    }  # fmt: skip
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert saved["config"]["task"] == {"name": "test-chooser", "options": {"price": 0.1}}
    assert saved["columns"] == {
        "inputs": {"dtype": "float32", "shape": [8, 8], "classes": 0},
        "targets": {"dtype": "int64", "shape": [], "classes": 10},
    }
    assert open_model(Path("run"), "cpu").format.targets.classes == 10


def test_is_evaluated_with_what_it_offers(tmp_path, capsys):
    assert run(["train", *FLAGS, "--epochs", "1", "--out", "run", "--quiet"]) == 0
    assert run(["evaluate", "run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"run", "test_examples", "test_wrong", "test_kept"}
    experiment = open_run(Path("run"), "cpu")
    part = experiment.data.part("test")
    with torch.no_grad():
        again = experiment.task.evaluate(experiment.setup, experiment.model, part, 0)
    assert found["test_wrong"] == again["wrong"]
    assert run(["evaluate", "run", "--importance-samples", "3"]) == 2
    assert "test-chooser' has no importance-weighted bound" in capsys.readouterr().err
    assert run(["sample", "run"]) == 2
    assert "test-chooser' has no examples to sample" in capsys.readouterr().err
    assert not (tmp_path / "run" / "samples-0.png").exists()


def test_is_listed_and_shown(capsys):
    assert run(["list", "--json"]) == 0
    found = {task["name"]: task for task in json.loads(capsys.readouterr().out)["task"]}
    assert found["test-chooser"]["distribution"] == registry.SESSION
    assert found["vae"]["distribution"] == "relaxit-framework"
    assert run(["show", "test-chooser", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "task"
    assert [option["name"] for option in facts["options"]] == ["price"]


@pytest.mark.parametrize("estimator", ["pathwise", "st-gumbel"])
@pytest.mark.parametrize("calls", [1, 7, 12])
def test_interrupted_and_resumed_equals_undisturbed_to_the_bit(
    tmp_path, report_each_step, calls, estimator
):
    layer = {**TASK, "estimator": {"name": estimator}, "data": {"options": {"binarise": "dynamic"}}}
    undisturbed, whole = run_at(tmp_path / "whole", layer)
    _, stopped = run_at(tmp_path / "run", layer, report=StopAfter(calls, signal.SIGTERM))
    assert stopped.exit_code == 143
    resumed, outcome = run_at(tmp_path / "run", layer, resume=True)
    assert outcome.exit_code == 0
    assert torch.equal(weights(undisturbed), weights(resumed))
    rows = RunDirectory(tmp_path / "run").read_metrics()
    for ours, theirs in zip(rows, whole.rows, strict=True):
        for key in theirs.keys() - {"seconds", "examples_per_second"}:
            assert ours[key] == theirs[key], key


def test_same_seed_same_weights_other_seed_others(tmp_path):
    first, second, third = (
        run_at(tmp_path / str(n), TASK, {"seed": seed})[0] for n, seed in enumerate((0, 0, 1))
    )
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(third))


def test_steps_come_in_training_mode_and_evaluation_does_not():
    trainer = Trainer(build(small_config(TASK)))
    seen = trainer.experiment.model.seen
    assert seen == [True]  # the step that was tried when the run was built
    seen.clear()
    trainer.run_epoch(SilentCallback(), StopRequest())
    assert seen == [True] * 5
    trainer.summary(True)
    assert seen[5:] == [False] * 4  # 360 test images in batches of 100
    assert trainer.experiment.model.training


def test_a_smaller_last_batch_weighs_no_more_than_its_images():
    trainer = Trainer(build(small_config(TASK, {"batch_size": 1000})))
    losses = []
    terms = type(trainer.experiment.task).terms

    def spy(self, *args):
        losses.append(terms(self, *args).loss.detach())
        return Terms(losses[-1].clone().requires_grad_(), dict.fromkeys(self.metrics, losses[-1]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Chooser, "terms", spy)
        trainer.run_epoch(SilentCallback(), StopRequest())
    assert [len(loss) for loss in losses] == [1000, 437]
    mean = float(torch.cat(losses).mean())
    assert trainer.means() == pytest.approx(
        {"train_loss": mean, "train_wrong": mean, "train_kept": mean}
    )
    assert trainer.examples_done == 1437


def test_nothing_of_the_default_recipe_goes_into_a_run_of_another_task(capsys):
    assert run(["train", "--dry-run"]) == 0
    default = json.loads(capsys.readouterr().out)
    assert default["task"]["options"]["kl_warmup"] == 0.1
    assert default["optimizer"]["schedule"] == "cosine"
    assert run(["train", *FLAGS, "--dry-run"]) == 0
    out, err = capsys.readouterr()
    config = json.loads(out)
    assert config["task"] == {"name": "test-chooser", "options": {"price": 0.05}}
    assert config["optimizer"] == OptimizerConfig().model_dump()
    assert config["temperature"] == TemperatureConfig().model_dump()
    assert config["recipe"] == ""
    assert err == "would minimise the cross-entropy of a classifier of 64 pixels\n"


def test_the_qualified_name_of_the_task_keeps_the_options_of_the_recipe():
    for name in ("vae", "relaxit-framework:vae"):
        config = resolve([*recipe_layers("categorical-vae"), {"task": {"name": name}}])
        assert config.task.options["kl_warmup"] == 0.1


def test_a_recipe_may_name_a_task(tmp_path, capsys):
    (tmp_path / "mine.toml").write_text(
        'latents = 64\nrelaxation = { name = "binary" }\n[task]\nname = "test-chooser"\n'
    )
    assert run(["train", "--recipe", "mine.toml", "--task-option", "price=3", "--dry-run"]) == 0
    config = json.loads(capsys.readouterr().out)
    assert config["task"] == {"name": "test-chooser", "options": {"price": 3.0}}
    assert (config["recipe"], config["latents"]) == ("mine", 64)


def test_options_of_another_task_are_dropped():
    base = {**TASK, "epochs": 1, "task": {"name": "test-chooser", "options": {"price": 1.0}}}
    assert resolve([base, {"task": {"name": "test-chooser"}}]).task.options == {"price": 1.0}
    assert resolve([base, {"task": {"name": "vae"}}]).task.options == {}


def test_an_environment_variable_names_the_task(monkeypatch, capsys):
    monkeypatch.setenv("RELAXIT_TASK", "test-chooser")
    assert run(["train", *FLAGS[2:], "--task-option", "price=0.2", "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["task"]["options"] == {"price": 0.2}


def test_overwriting_removes_the_figures_of_either_task(tmp_path):
    run_at(tmp_path / "run", TASK, {"epochs": 1})
    (tmp_path / "run" / "gates-mine.png").write_text("mine")
    RunDirectory(tmp_path / "run").create(overwrite=True)
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"gates-mine.png"}
