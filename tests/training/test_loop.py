"""The loop: repeatable, resumable, stoppable, and honest when the loss is not finite."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from pydantic import Field

import relaxit
from relaxit.data.dataset import Format
from relaxit.errors import CheckpointError, ConfigurationError, DivergenceError, PluginError
from relaxit.plugins.registry import default_registry
from relaxit.training.config import TemperatureConfig as TemperatureSettings
from relaxit.training.divergence import DivergenceGuard
from relaxit.training.loop import SilentCallback, Trainer, train
from relaxit.training.runs.checkpoint import load_model, load_state, save_model, save_state
from relaxit.training.runs.directory import RunDirectory
from relaxit.training.runs.loading import open_run
from relaxit.training.temperature import Temperature
from tests.conftest import needs_cuda
from tests.training.signs import Sign
from tests.training.small import small_config, small_experiment

KEYS = {
    "epoch", "step", "temperature", "train_surrogate", "train_elbo_discrete",
    "test_elbo_discrete", "test_reconstruction", "test_kl", "seconds",
}  # fmt: skip
FILES = {
    "config.json", "metrics.jsonl", "model.safetensors", "train_state.pt", "tensorboard",
    "reconstructions.png", "samples.png", "curves.png",
}  # fmt: skip


def run_at(path, *layers, report=None, resume=False):
    experiment = small_experiment(*layers)
    run = RunDirectory(path)
    if not resume:
        run.check_free(False)
        run.create(overwrite=False)
        run.write_config(experiment.config, experiment.images.format)
    return experiment, train(experiment, run, report, resume)


def weights(experiment):
    return torch.cat([p.detach().flatten() for p in experiment.model.parameters()])


class StopAfter(SilentCallback):
    """Sends a signal to this process when so many batches were reported."""

    def __init__(self, calls, number=signal.SIGINT):
        self.calls, self.number = calls, number

    def step(self, images, means):
        self.calls -= 1
        if self.calls == 0:
            os.kill(os.getpid(), self.number)


@pytest.fixture
def report_each_step(monkeypatch):
    monkeypatch.setattr("relaxit.training.loop._REPORT_SECONDS", -1.0)


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
        "objective": {"kl_warmup": 1.0},
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
        picture = imread(tmp_path / "run" / name)
        assert min(picture.shape[:2]) > 100
        assert picture[..., 0].std() > 0.05


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


@pytest.mark.parametrize("calls", [1, 5, 7, 12])
@pytest.mark.parametrize("binarise", ["none", "dynamic"])
def test_interrupted_and_resumed_equals_undisturbed_to_the_bit(
    tmp_path, report_each_step, calls, binarise
):
    layer = {"data": {"binarise": binarise}, "temperature": {"schedule": "linear"}}
    undisturbed, whole = run_at(tmp_path / "whole", layer)
    _, stopped = run_at(tmp_path / "run", layer, report=StopAfter(calls))
    assert stopped.exit_code == 130
    assert {p.name for p in (tmp_path / "run").iterdir()} == FILES
    resumed, outcome = run_at(tmp_path / "run", layer, resume=True)
    assert outcome.exit_code == 0
    assert torch.equal(weights(undisturbed), weights(resumed))
    assert torch.equal(undisturbed.temperature(), resumed.temperature())
    timing = ("seconds", "images_per_second")
    for ours, theirs in zip(RunDirectory(tmp_path / "run").read_metrics(), whole.rows, strict=True):
        for key in theirs.keys() - set(timing):
            assert ours[key] == pytest.approx(theirs[key], abs=1e-9), key


def test_sigterm_saves_and_says_143(tmp_path, report_each_step):
    _, outcome = run_at(tmp_path / "run", report=StopAfter(2, signal.SIGTERM))
    assert outcome.exit_code == 143
    assert {p.name for p in (tmp_path / "run").iterdir()} == FILES
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL  # given back


def test_kill_in_mid_run_leaves_whole_files_to_resume_from(tmp_path):
    """kill -9 at any moment: what is there can be read, and the run continues."""
    code = f"""
import pathlib
import relaxit.training.loop as loop
from tests.training.test_loop import run_at
loop._SAVE_SECONDS = -1.0
run_at(pathlib.Path({str(tmp_path / "run")!r}), {{"epochs": 100000}})
"""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", code], env=env)
    deadline = time.monotonic() + 120
    metrics = tmp_path / "run" / "metrics.jsonl"
    while time.monotonic() < deadline and process.poll() is None:
        if metrics.is_file() and metrics.read_text().count("\n") >= 4:
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    state = load_state(tmp_path / "run" / "train_state.pt")
    assert state["epoch"] >= 1
    open_run(tmp_path / "run")
    _, outcome = run_at(tmp_path / "run", {"epochs": state["epoch"] + 1}, resume=True)
    assert [row["epoch"] for row in outcome.rows] == list(range(1, state["epoch"] + 2))


class _Poisoned(Sign):
    """Gives a NaN sample from the seventh call on."""

    name = "test-poisoned"
    calls = 0

    def relax(self, scores, temperature):
        type(self).calls += 1
        return super().relax(scores, temperature) * (float("nan") if type(self).calls > 7 else 1.0)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_good_weights(tmp_path):
    relaxit.register(_Poisoned)
    try:
        _Poisoned.calls = 0
        layer = {"relaxation": {"name": "test-poisoned", "options": {}}}
        with pytest.raises(DivergenceError, match="not finite at step 7;") as caught:
            run_at(tmp_path / "run", layer)
        assert caught.value.exit_code == 3
        experiment = small_experiment(layer)
        load_model(experiment.model, tmp_path / "run" / "model.safetensors")
        assert weights(experiment).isfinite().all()
        assert (tmp_path / "run" / "samples.png").is_file()
    finally:
        relaxit.unregister(_Poisoned)


def test_divergence_after_resuming_keeps_the_trained_weights(tmp_path):
    relaxit.register(_Poisoned)
    try:
        layer = {"relaxation": {"name": "test-poisoned", "options": {}}}
        _Poisoned.calls = -1000
        trained, _ = run_at(tmp_path / "run", layer)
        _Poisoned.calls = 7  # the next sample is NaN
        with pytest.raises(DivergenceError, match=f"the weights of step {trained.steps} were kept"):
            run_at(tmp_path / "run", layer, {"epochs": 4}, resume=True)
        experiment = small_experiment(layer)
        load_model(experiment.model, tmp_path / "run" / "model.safetensors")
        assert torch.equal(weights(experiment), weights(trained))
    finally:
        relaxit.unregister(_Poisoned)


def test_weights_spoilt_by_the_last_update_are_not_saved(tmp_path, monkeypatch):
    step = torch.optim.AdamW.step

    def spoil_the_last(self, *args, **kwargs):
        result = step(self, *args, **kwargs)
        count = next(iter(self.state.values()))["step"]
        if count == 15:
            self.param_groups[0]["params"][0].data.fill_(float("nan"))
        return result

    monkeypatch.setattr(torch.optim.AdamW, "step", spoil_the_last)
    with pytest.raises(DivergenceError, match="step 15"):
        run_at(tmp_path / "run")
    experiment = small_experiment()
    load_model(experiment.model, tmp_path / "run" / "model.safetensors")
    assert weights(experiment).isfinite().all()
    assert "NaN" not in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_a_run_may_move_to_another_kind_of_device(tmp_path):
    run_at(tmp_path / "run")
    path = tmp_path / "run" / "train_state.pt"
    state = load_state(path)
    save_state({**state, "device": "cuda", "generator": torch.zeros(16, dtype=torch.uint8)}, path)
    with pytest.warns(UserWarning, match="moved from cuda to cpu"):
        _, outcome = run_at(tmp_path / "run", {"epochs": 4}, resume=True)
    assert outcome.exit_code == 0


def test_fewer_epochs_than_are_done_are_refused_and_change_nothing(tmp_path):
    run_at(tmp_path / "run")
    before = (tmp_path / "run" / "config.json").read_text()
    with pytest.raises(ConfigurationError, match="has 3 finished epochs"):
        run_at(tmp_path / "run", {"epochs": 1}, resume=True)
    assert (tmp_path / "run" / "config.json").read_text() == before


def test_a_full_disk_is_a_checkpoint_error_and_the_old_file_stays(tmp_path):
    code = f"""
import pathlib, resource, sys
from relaxit.errors import CheckpointError
from relaxit.training.runs.checkpoint import save_model, save_state
from tests.training.small import small_experiment
import torch
model, folder = small_experiment().model, pathlib.Path({str(tmp_path)!r})
save_model(model, folder / "m.safetensors")
save_state({{"x": torch.zeros(3)}}, folder / "s.pt")
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
for save, what, name in (
    (save_model, model, "m.safetensors"), (save_state, {{"x": torch.zeros(9999)}}, "s.pt")
):
    try:
        save(what, folder / name)
    except CheckpointError as error:
        assert name in str(error)
    else:
        sys.exit("not refused")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    load_model(small_experiment().model, tmp_path / "m.safetensors")
    assert load_state(tmp_path / "s.pt")["x"].shape == (3,)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.safetensors", "s.pt"]


def test_new_run_directories_are_never_shared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = small_config({"recipe": "../x y"})
    made = [RunDirectory.fresh(config).path for _ in range(5)]
    assert len(set(made)) == 5
    assert all(path.parent.name == "runs" for path in made)


def test_option_defaults_are_saved_with_the_run(tmp_path):
    class Optional(Sign):
        name = "test-optional"

        class Options(relaxit.Options):
            level: int = Field(3, description="a default that may change")

    relaxit.register(Optional)
    try:
        run_at(tmp_path / "run", {"relaxation": {"name": "test-optional", "options": {}}})
        saved = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
        assert saved["relaxation"] == {"name": "test-optional", "options": {"level": 3}}
    finally:
        relaxit.unregister(Optional)


def test_damaged_metrics_are_named(tmp_path):
    run_at(tmp_path / "run", {"epochs": 1})
    path = tmp_path / "run" / "metrics.jsonl"
    path.write_text(path.read_text() + '{"epoch": 2, "st')
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl is damaged"):
        run_at(tmp_path / "run", {"epochs": 2}, resume=True)


def test_guard_without_a_look_at_each_step_still_names_the_first_bad_one():
    weight = torch.ones(3)
    guard = DivergenceGuard([weight], torch.device("cpu"))
    for step in range(100):  # nobody looks
        guard.begin(step)
        if step == 50:
            good = weight.clone()
        guard.see(torch.tensor(float("nan") if step >= 60 else 1.0))
        weight += 1
    guard.begin(100)  # these weights came after a bad loss, and are not kept
    with pytest.raises(DivergenceError, match=r"step 60; the weights of step 50"):
        guard.settle()
    assert torch.equal(weight, good)


def test_guard_keeps_no_weights_that_are_not_finite():
    weight = torch.ones(3)
    guard = DivergenceGuard([weight], torch.device("cpu"))
    weight[1] = torch.inf  # the losses do not show it yet
    guard.begin(50)
    with pytest.raises(DivergenceError, match=r"step 50; the weights of step 0"):
        guard.check_weights(50)
    assert torch.equal(weight, torch.ones(3))


def test_learned_temperature_moves_and_stays_positive(tmp_path):
    layer = {"temperature": {"schedule": "learned", "initial": 0.8}, "optimizer": {"lr": 0.05}}
    _, outcome = run_at(tmp_path / "run", layer)
    values = [row["temperature"] for row in outcome.rows]
    assert all(value > 0 for value in values)
    assert abs(values[-1] - 0.8) > 0.01
    assert load_state(tmp_path / "run" / "train_state.pt")["temperature"]["log_value"].isfinite()


def test_temperature_is_one_tensor_filled_in_place():
    tau = Temperature(TemperatureSettings(schedule="linear", initial=1.0, final=0.5), steps=10)
    tensor = tau()
    for step in (0, 5, 10):
        tau.set_step(step)
        assert tau() is tensor
        assert float(tensor) == pytest.approx(1.0 - 0.05 * step)
    other = Temperature(TemperatureSettings(schedule="linear"), steps=10)
    other.load_state_dict(tau.state_dict())
    assert torch.equal(other(), tensor)


@pytest.mark.parametrize("size", [0, 10, 1000])
@pytest.mark.parametrize("name", ["model.safetensors", "train_state.pt"])
def test_a_truncated_checkpoint_is_named(tmp_path, name, size):
    experiment, _ = run_at(tmp_path / "run", {"epochs": 1})
    path = tmp_path / "run" / name
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")) as caught:
        load_state(path) if name.endswith("pt") else load_model(experiment.model, path)
    assert caught.value.exit_code == 4
    assert "\n" not in str(caught.value)


def test_code_in_a_checkpoint_is_refused(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'HACKED'}",)

    path = tmp_path / "train_state.pt"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match="unsafe to load"):
        load_state(path)
    torch.save({"x": Evil()}, path)
    with pytest.raises(CheckpointError, match="unsafe to load"):
        load_state(path)
    assert not (tmp_path / "HACKED").exists()


def test_weights_of_another_architecture_are_refused(tmp_path):
    other = small_experiment({"latents": 5})
    save_model(other.model, tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match=r"architecture: .* in the file, .* in the model"):
        load_model(small_experiment().model, tmp_path / "m.safetensors")


def test_a_missing_plugin_is_named_with_what_to_install(tmp_path):
    run_at(tmp_path / "run", {"epochs": 1})
    path = tmp_path / "run" / "config.json"
    saved = json.loads(path.read_text())
    saved["config"]["relaxation"]["name"] = "trees"
    saved["plugins"].append(
        {
            "name": "t",
            "distribution": "relaxit-trees",
            "version": "0.3",
            "provides": {"relaxation": ["trees"]},
        }
    )
    path.write_text(json.dumps(saved))
    with pytest.raises(PluginError, match=r"relaxit-trees 0\.3: install that plugin"):
        open_run(tmp_path / "run")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"format": 99}', '{"format": 1, "config": {"latents": 0}}']
)
def test_a_damaged_config_is_named(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        RunDirectory(tmp_path).read_config()


def test_dotted_paths_in_a_config_import_nothing(tmp_path):
    config = small_config({"relaxation": {"name": "os.system", "options": {}}})
    run = RunDirectory(tmp_path / "run")
    run.create(overwrite=False)
    run.write_config(config, Format((8, 8)))
    with pytest.raises(PluginError, match=r"os\.system"):
        open_run(run.path)


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
    assert ends[0] == pytest.approx(ends[1], abs=1.0)  # other noise, same law
