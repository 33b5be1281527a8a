"""What is written while a run is trained, and that nothing is where no files are wanted."""

from __future__ import annotations

import torch

from relaxit.training.loop import train
from relaxit.training.runs import recorder
from relaxit.training.runs.checkpoint import load_state
from relaxit.training.runs.directory import RunDirectory
from relaxit.training.runs.recorder import Recorder
from relaxit.training.trainer import Trainer
from tests.training.small import small_experiment
from tests.training.small_runs import run_at, weights


def test_a_run_without_a_directory_writes_nothing_and_is_the_same_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recorder, "SAVE_SECONDS", -1.0)
    alone = small_experiment()
    outcome = train(alone)
    assert list(tmp_path.iterdir()) == []
    written, same = run_at(tmp_path / "run")
    assert torch.equal(weights(alone), weights(written))
    for mine, theirs in zip(outcome.rows, same.rows, strict=True):
        assert mine.keys() == theirs.keys()
        assert {k: v for k, v in mine.items() if "second" not in k} == {
            k: v for k, v in theirs.items() if "second" not in k
        }


def test_epochs_that_are_not_evaluated_have_training_metrics_only():
    rows = train(small_experiment({"data": {"validation": 50}}), evaluated=[2]).rows
    assert ["test_kl" in row for row in rows] == [False, True, False]
    assert ["validation_kl" in row for row in rows] == [False, True, False]
    assert all("train_kl" in row for row in rows)
    plain = train(small_experiment({"data": {"validation": 50}})).rows
    assert rows[2]["train_loss"] == plain[2]["train_loss"]
    assert rows[1]["test_kl"] == plain[1]["test_kl"]


def test_what_is_saved_is_due_after_a_while_and_complete(tmp_path, monkeypatch):
    experiment = small_experiment()
    run = RunDirectory(tmp_path / "run")
    run.create(overwrite=False)
    trainer, row = Trainer(experiment), {"epoch": 1, "step": 5, "train_loss": 2.0}
    with Recorder(run, experiment) as written:
        assert not written.due
        written.log([row])
        written.log([row, {**row, "epoch": 2}])
        written.save(trainer)
        assert [each["epoch"] for each in run.read_metrics()] == [1, 2]  # before the state
        assert load_state(run.state_file)["epoch"] == 0
        assert run.model_file.is_file()
        monkeypatch.setattr(recorder, "SAVE_SECONDS", -1.0)
        assert written.due
    none = Recorder(None, experiment)
    assert not none.due  # also now
