"""Runs that were stopped, killed or moved to another device are continued."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from relaxit.errors import CheckpointError, ConfigurationError
from relaxit.training.runs.checkpoint import load_state, save_state
from relaxit.training.runs.directory import RunDirectory
from relaxit.training.runs.loading import open_run
from tests.training.small_runs import FILES, StopAfter, run_at, weights


@pytest.mark.parametrize("calls", [1, 5, 7, 12])
@pytest.mark.parametrize("binarise", ["none", "dynamic"])
def test_interrupted_and_resumed_equals_undisturbed_to_the_bit(
    tmp_path, report_each_step, calls, binarise
):
    layer = {"data": {"options": {"binarise": binarise}}, "temperature": {"schedule": "linear"}}
    undisturbed, whole = run_at(tmp_path / "whole", layer)
    _, stopped = run_at(tmp_path / "run", layer, report=StopAfter(calls))
    assert stopped.exit_code == 130
    assert {p.name for p in (tmp_path / "run").iterdir()} == FILES
    resumed, outcome = run_at(tmp_path / "run", layer, resume=True)
    assert outcome.exit_code == 0
    assert torch.equal(weights(undisturbed), weights(resumed))
    assert torch.equal(undisturbed.temperature(), resumed.temperature())
    timing = ("seconds", "examples_per_second")
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
import relaxit.training.runs.recorder as recorder
from tests.training.small_runs import run_at
recorder.SAVE_SECONDS = -1.0
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


def test_a_run_may_move_to_another_kind_of_device(tmp_path):
    run_at(tmp_path / "run")
    path = tmp_path / "run" / "train_state.pt"
    state = load_state(path)
    save_state({**state, "device": "cuda", "generator": torch.zeros(16, dtype=torch.uint8)}, path)
    with pytest.warns(UserWarning, match="moved from cuda to cpu"):
        _, outcome = run_at(tmp_path / "run", {"epochs": 4}, resume=True)
    assert outcome.exit_code == 0


def test_fewer_epochs_than_are_done_are_rejected_and_change_nothing(tmp_path):
    run_at(tmp_path / "run")
    before = (tmp_path / "run" / "config.json").read_text()
    with pytest.raises(ConfigurationError, match="has 3 finished epochs"):
        run_at(tmp_path / "run", {"epochs": 1}, resume=True)
    assert (tmp_path / "run" / "config.json").read_text() == before


def test_damaged_metrics_are_named(tmp_path):
    run_at(tmp_path / "run", {"epochs": 1})
    path = tmp_path / "run" / "metrics.jsonl"
    path.write_text(path.read_text() + '{"epoch": 2, "st')
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl is damaged"):
        run_at(tmp_path / "run", {"epochs": 2}, resume=True)
