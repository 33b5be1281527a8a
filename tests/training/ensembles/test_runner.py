"""Members of an ensemble leave run directories like those of runs alone."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal

import pytest
import torch

from relaxit.errors import CheckpointError
from relaxit.training.building import build, build_all, build_members
from relaxit.training.callbacks import SilentCallback
from relaxit.training.ensembles.directory import EnsembleDirectory
from relaxit.training.ensembles.members import Member
from relaxit.training.ensembles.plan import Plan
from relaxit.training.ensembles.runner import train_members
from relaxit.training.ensembles.summary import mean_row
from relaxit.training.experiment import Experiment
from relaxit.training.loop import train
from relaxit.training.runs.checkpoint import save_state
from relaxit.training.runs.directory import RunDirectory
from relaxit.training.runs.loading import open_model
from tests.training.small import small_config

PLAN = Plan(seeds=(3, 5), temperatures=(0.4, 1.0))
FILES = {"config.json", "curves.png", "metrics.jsonl", "model.safetensors", "reconstructions.png",
         "samples.png", "tensorboard", "train_state.pt"}  # fmt: skip


class Told(SilentCallback):
    """Keeps what it is told, and asks for a stop after some epochs."""

    def __init__(self, stop_after=0):
        self.way = self.reason = ""
        self.rows = []
        self.stop_after = stop_after

    def began(self, way, reason):
        self.way, self.reason = way, reason

    def watch(self, member):
        return contextlib.nullcontext(self)

    def epoch(self, row):
        self.rows.append(row)
        if len(self.rows) == self.stop_after:
            signal.raise_signal(signal.SIGINT)


def run(tmp_path, mode, plan=PLAN, told=None, **changes):
    config = small_config({"epochs": 2, **changes})
    directory = EnsembleDirectory(tmp_path / mode)
    directory.create(overwrite=False)
    configs = plan.configs(config)
    experiments = build_all(list(configs.values()))
    members = [Member(name, e, directory.member(name))
               for name, e in zip(configs, experiments, strict=True)]  # fmt: skip
    return train_members(members, told or Told(), directory, mode), directory


def alone(tmp_path, config, name):
    directory = RunDirectory(tmp_path / name)
    directory.create(overwrite=False)
    experiment = build(config)
    directory.write_config(experiment.config, experiment.data.format)
    return train(experiment, directory), directory


def weights(path):
    return open_model(path, "cpu").model.state_dict()


@pytest.fixture
def no_images(monkeypatch):
    """Without the figures of each member, which are tested elsewhere and take most of the time."""
    monkeypatch.setattr(Experiment, "draw", lambda *_: None)


def close(first, second, **tolerance):
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], **tolerance)


@pytest.mark.parametrize("mode", ["always", "never"])
def test_each_member_is_its_run_alone(tmp_path, mode):
    schedule = {"temperature": {"schedule": "linear", "final": 0.3}}
    outcome, _ = run(tmp_path, mode, Plan((3, 5), (0.4, 1.0)), **schedule)
    assert [member.state for member in outcome.members] == ["finished"] * 4
    for member in outcome.members[1:3]:  # another seed, another temperature
        assert {p.name for p in member.run.path.iterdir()} == FILES
        config = member.run.read_config()
        assert config.temperature.initial == member.temperature
        single, directory = alone(tmp_path, config, f"alone-{member.name}")
        close(weights(member.run.path), weights(directory.path), rtol=0, atol=1e-5)
        for mine, theirs in zip(member.run.read_metrics(), single.rows, strict=True):
            timeless = {k: v for k, v in theirs.items() if "second" not in k}
            assert mine.keys() == theirs.keys()
            assert {k: mine[k] for k in timeless} == pytest.approx(timeless, rel=1e-4, abs=1e-5)
    taus = {m.run.read_metrics()[0]["train_kl"] for m in outcome.members}
    assert len(taus) == 4  # or the temperatures would have been no different


@pytest.mark.parametrize("mode", ["always", "never"])
def test_members_without_directories_write_nothing(tmp_path, monkeypatch, mode):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("relaxit.training.runs.recorder.SAVE_SECONDS", -1.0)
    experiments = build_members(small_config({"epochs": 2}), (3, 5))
    members = [Member(f"seed-{e.config.seed}", e) for e in experiments]
    told = Told()
    outcome = train_members(members, told, mode=mode, evaluated=[2])
    assert list(tmp_path.iterdir()) == []
    assert [member.state for member in outcome.members] == ["finished"] * 2
    assert ["test_kl" in row for row in members[1].rows] == [False, True]
    alone = train(build(small_config({"epochs": 2, "seed": 5}))).rows[-1]
    for key in ("train_loss", "test_kl"):
        assert members[1].rows[-1][key] == pytest.approx(alone[key], rel=1e-4)
    assert len(told.rows) == (2 if mode == "always" else 4)


@pytest.mark.usefixtures("no_images")
def test_a_member_continues_as_its_run_alone(tmp_path):
    # Three epochs: two in the ensemble and one alone. Only exact moments of Adam, noise and
    # position give the weights of three epochs alone.
    schedule = {"temperature": {"schedule": "learned"}}
    outcome, _ = run(tmp_path, "always", Plan(seeds=(3, 5)), **schedule)
    member = outcome.members[1]
    config = member.run.read_config().model_copy(update={"epochs": 3})
    again = build(config)
    train(again, member.run, resume=True)
    _, directory = alone(tmp_path, config, "whole")
    rows = member.run.read_metrics()
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    close(weights(member.run.path), weights(directory.path), rtol=0, atol=2e-5)
    assert rows[-1]["test_elbo_discrete"] == pytest.approx(
        directory.read_metrics()[-1]["test_elbo_discrete"], rel=1e-4
    )


@pytest.mark.usefixtures("no_images")
def test_the_comparison_of_continued_runs_sees_lost_moments(tmp_path, monkeypatch):
    def save_without_moments(state, path):
        for moments in state["optimizer"]["state"].values():
            moments.update({k: torch.zeros_like(v) for k, v in moments.items() if v.dim()})
        save_state(state, path)

    monkeypatch.setattr("relaxit.training.runs.recorder.save_state", save_without_moments)
    with pytest.raises(AssertionError, match="not close"):
        test_a_member_continues_as_its_run_alone(tmp_path)


@pytest.mark.usefixtures("no_images")
def test_a_member_is_no_larger_on_disk_than_its_run_alone(tmp_path):
    outcome, _ = run(tmp_path, "always", Plan(seeds=(3, 5, 6, 7)))
    run_of = outcome.members[0].run
    _, directory = alone(tmp_path, run_of.read_config(), "alone")
    for name in ("model.safetensors", "train_state.pt"):
        mine, theirs = ((d.path / name).stat().st_size for d in (run_of, directory))
        assert mine == pytest.approx(theirs, rel=0.1)


@pytest.mark.usefixtures("no_images")
@pytest.mark.parametrize("mode", ["always", "never"])
def test_means_and_errors_on_top(tmp_path, mode):
    outcome, directory = run(tmp_path, mode)
    saved = json.loads(directory.file.read_text())
    assert {p.name for p in directory.path.iterdir() if p.is_file()} == {
        "curves.png", "ensemble.json", "table.md"}  # fmt: skip
    assert saved["way"] == outcome.way == {"always": "one step", "never": "in turn"}[mode]
    assert [(m["seed"], m["temperature"]) for m in saved["members"]] == [
        (3, 0.4), (5, 0.4), (3, 1.0), (5, 1.0)]  # fmt: skip
    assert [group["temperature"] for group in saved["groups"]] == [0.4, 1.0]
    for group, pair in zip(
        saved["groups"], (outcome.members[:2], outcome.members[2:]), strict=True
    ):
        one, other = (RunDirectory(m.run.path).read_metrics()[-1]["test_kl"] for m in pair)
        assert group["metrics"]["test_kl"]["mean"] == pytest.approx((one + other) / 2)
        error = group["metrics"]["test_kl"]["standard_error"]
        assert error == pytest.approx(abs(one - other) / 2)  # |a - b| / sqrt 2 / sqrt 2
    lines = directory.table.read_text().splitlines()
    assert len(lines) == 2 + 4 + 2
    assert "mean ± s.e. of 2, temperature 0.4" in lines[4]


@pytest.mark.parametrize("mode", ["always", "never"])
def test_an_interrupted_ensemble_is_complete(tmp_path, mode):
    outcome, directory = run(tmp_path, mode, Plan(seeds=(0, 1, 2)), Told(stop_after=1), epochs=3)
    assert outcome.exit_code == 130
    states = [member["state"] for member in json.loads(directory.file.read_text())["members"]]
    assert states == {"always": ["stopped"] * 3, "never": ["stopped", "waiting", "waiting"]}[mode]
    assert directory.curves.is_file()
    first = outcome.members[0]
    assert {p.name for p in first.run.path.iterdir()} == FILES
    done = train(build(first.run.read_config()), first.run, resume=True)
    assert [row["epoch"] for row in done.rows] == [1, 2, 3]


@pytest.mark.usefixtures("no_images")
def test_a_signal_in_a_members_last_epoch_ends_the_ensemble(tmp_path):
    # The member is finished, and its own loop has nothing left to stop.
    outcome, _ = run(tmp_path, "never", Plan(seeds=(0, 1)), Told(stop_after=2))
    assert [member.state for member in outcome.members] == ["finished", "waiting"]
    assert outcome.exit_code == 130


def spoil(monkeypatch, seeds):
    """Runs of these seeds begin with a weight that is infinite."""
    from relaxit.training import assembly

    original = assembly.build_model

    def spoiled(task, setup, format):
        model = original(task, setup, format)
        if setup.seed in seeds:
            with torch.no_grad():
                next(model.parameters())[0, 0] = torch.inf
        return model

    monkeypatch.setattr(assembly, "build_model", spoiled)


@pytest.mark.usefixtures("no_images")
@pytest.mark.parametrize("mode", ["always", "never"])
def test_a_member_that_diverges_is_named_and_left_out(tmp_path, monkeypatch, mode):
    spoil(monkeypatch, {1})
    outcome, directory = run(tmp_path, mode, Plan(seeds=(0, 1, 2)))
    assert [member.state for member in outcome.members] == ["finished", "diverged", "finished"]
    assert "not finite at step 0" in outcome.members[1].reason
    saved = json.loads(directory.file.read_text())
    assert saved["groups"][0]["seeds"] == [0, 2]
    assert "seed-1" not in directory.table.read_text()
    assert (directory.path / "seed-1" / "model.safetensors").is_file()


@pytest.mark.usefixtures("no_images")
def test_a_member_that_diverges_later_keeps_its_last_good_weights(tmp_path, monkeypatch):
    from relaxit.training.ensembles.batched import Ensemble

    step = Ensemble.train_step

    def spoiling(self, index):
        if self.step == 7:  # in the second epoch of five steps
            with torch.no_grad():
                next(self.experiments[1].model.parameters()).fill_(torch.nan)
        step(self, index)

    monkeypatch.setattr(Ensemble, "train_step", spoiling)
    outcome, _ = run(tmp_path, "always", Plan(seeds=(0, 1)))
    lost = outcome.members[1]
    assert "not finite at step 7; the weights of step 5" in lost.reason
    assert [row["epoch"] for row in lost.rows] == [1]
    assert all(bool(tensor.isfinite().all()) for tensor in weights(lost.run.path).values())
    assert outcome.members[0].state == "finished"


@pytest.mark.usefixtures("no_images")
@pytest.mark.parametrize("mode", ["always", "never"])
def test_all_that_diverge_are_recorded_each_with_its_reason(tmp_path, monkeypatch, mode):
    spoil(monkeypatch, {0, 1})
    outcome, _ = run(tmp_path, mode, Plan(seeds=(0, 1)))
    assert [(m.state, m.diverged_at) for m in outcome.members] == [("diverged", 0)] * 2
    assert all("not finite at step 0" in member.reason for member in outcome.members)
    assert (outcome.compared, outcome.groups, outcome.exit_code) == ([], [], 0)
    saved = json.loads((tmp_path / mode / "ensemble.json").read_text())
    assert [member["state"] for member in saved["members"]] == ["diverged", "diverged"]


@pytest.mark.usefixtures("no_images")
def test_the_directory_of_an_ensemble_is_no_run_and_says_so(tmp_path):
    _, directory = run(tmp_path, "always", Plan(seeds=(0,)), epochs=1)
    with pytest.raises(CheckpointError, match=r"is an ensemble; pass one of its runs: .*seed-0"):
        RunDirectory(directory.path).read_config()


def test_overwriting_removes_what_was_ours_and_nothing_else(tmp_path):
    _, directory = run(tmp_path, "always", Plan(seeds=(0, 1)), epochs=1)
    saved = json.loads(directory.file.read_text())
    outside = tmp_path / "outside"
    shutil.copytree(directory.path / "seed-0", outside)
    saved["members"] += [{"name": "../outside"}, {"name": ".."}, {"name": str(outside)}]
    directory.file.write_text(json.dumps(saved))
    (directory.path / "seed-1" / "notes.txt").write_text("mine")
    (directory.path / "other").mkdir()
    directory.create(overwrite=True)
    left = {str(p.relative_to(directory.path)) for p in directory.path.rglob("*")}
    assert left == {"other", "seed-1", "seed-1/notes.txt"}
    assert {p.name for p in outside.iterdir()} == FILES


def test_a_mean_row_is_that_of_what_ran():
    alike = {"epoch": 2, "step": 8, "examples_per_second": 100.0}
    rows = [{**alike, "test_kl": value, "seconds": 0.5} for value in (1.0, 2.0)]
    assert mean_row(rows) == {**alike, "test_kl": 1.5, "seconds": 1.0}
