"""A whole run: its files and metrics, repeatable, with the global generators left alone."""

import json
import math

import pytest
import torch

from relaxit.plugins.registry import default_registry
from relaxit.training.callbacks import SilentCallback
from relaxit.training.runs.directory import RunDirectory
from relaxit.training.trainer import Trainer
from tests.conftest import needs_cuda
from tests.training.small import small_experiment
from tests.training.small_runs import FILES, run_at, weights

KEYS = {
    "epoch", "step", "temperature", "train_surrogate", "train_elbo_discrete",
    "test_elbo_discrete", "test_reconstruction", "test_kl", "seconds",
}  # fmt: skip


def test_leaves_a_complete_run_directory(tmp_path):
    experiment, outcome = run_at(tmp_path / "a b ü", {"data": {"validation": 100}})
    run = RunDirectory(tmp_path / "a b ü")
    assert {p.name for p in run.path.iterdir()} == FILES
    rows = run.read_metrics()
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    for row in rows:
        assert row.keys() >= KEYS
        for part in ("train", "validation", "test"):
            parts = row[f"{part}_reconstruction"] + row[f"{part}_kl"]
            assert row[f"{part}_elbo_discrete"] == pytest.approx(-parts)
            assert row[f"{part}_elbo_discrete"] < 0 < row["train_surrogate"]
    assert rows[-1]["step"] == experiment.steps == 3 * 5  # 1337 images in batches of 300
    assert rows[-1]["test_elbo_discrete"] > rows[0]["test_elbo_discrete"]
    saved = json.loads(run.config_file.read_text())
    assert saved["config"] == experiment.config.model_dump(mode="json")
    assert "torch" in saved["versions"]
    recorded = {p["distribution"] for p in saved["plugins"]}
    assert recorded == {p.distribution for p in default_registry().plugins} >= {"relaxit-framework"}
    assert any(p.stat().st_size > 0 for p in run.tensorboard.iterdir())
    assert outcome.exit_code == 0


def test_schedules_follow_the_global_step_not_the_epoch(tmp_path):
    layers = {
        "temperature": {"schedule": "exponential", "initial": 1.0, "final": 0.1},
        "task": {"options": {"kl_warmup": 1.0}},
        "optimizer": {"schedule": "cosine"},
    }
    experiment, outcome = run_at(tmp_path / "run", layers)
    for row in outcome.rows:
        last = row["step"] - 1  # the last step that was taken
        share = last / experiment.steps
        assert row["temperature"] == pytest.approx(0.1**share, rel=1e-5)
        assert row["kl_weight"] == pytest.approx(share)
        assert row["learning_rate"] == pytest.approx(1.5e-3 * (1 + math.cos(math.pi * share)))
        assert row["train_loss"] < row["train_surrogate"]


def test_images_show_something(tmp_path):
    from matplotlib.image import imread

    run_at(tmp_path / "run")
    for name in ("reconstructions.png", "samples.png", "curves.png"):
        image = imread(tmp_path / "run" / name)
        assert min(image.shape[:2]) > 100
        assert image[..., 0].std() > 0.05


def test_same_seed_same_weights_other_seed_others(tmp_path):
    first, _ = run_at(tmp_path / "1")
    second, _ = run_at(tmp_path / "2")
    third, _ = run_at(tmp_path / "3", {"seed": 1})
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(third))


def test_global_random_state_is_left_alone(tmp_path):
    before = torch.random.get_rng_state()
    run_at(tmp_path / "run")
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.gpu
@needs_cuda
def test_trains_on_a_gpu_and_agrees_with_the_cpu(tmp_path):
    gpu = Trainer(small_experiment({"device": "cuda", "epochs": 30}))
    cpu = Trainer(small_experiment({"device": "cpu", "epochs": 30}))
    from relaxit.training.stopping import StopRequest

    ends = []
    for trainer in (gpu, cpu):
        for _ in range(30):
            trainer.run_epoch(SilentCallback(), StopRequest())
            row = trainer.summary(True)
            trainer.next_epoch()
        ends.append(row["test_elbo_discrete"])
    assert ends[0] == pytest.approx(ends[1], abs=1.0)  # other noise, same distribution
