"""Checkpoints that are truncated, unsafe, of another model, or do not fit on the disk."""

import os
import subprocess
import sys

import pytest
import torch

from relaxit.errors import CheckpointError
from relaxit.training.runs.checkpoint import load_model, load_state, save_model
from tests.training.small import small_experiment
from tests.training.small_runs import run_at


def test_a_full_disk_is_a_checkpoint_error_and_the_old_file_stays(tmp_path):
    code = f"""
import pathlib, resource, sys
from relaxit.errors import CheckpointError
from relaxit.training.runs.checkpoint import save_model, save_state
from tests.training.small import small_experiment
import torch
model, directory = small_experiment().model, pathlib.Path({str(tmp_path)!r})
save_model(model, directory / "m.safetensors")
save_state({{"x": torch.zeros(3)}}, directory / "s.pt")
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
for save, what, name in (
    (save_model, model, "m.safetensors"), (save_state, {{"x": torch.zeros(9999)}}, "s.pt")
):
    try:
        save(what, directory / name)
    except CheckpointError as error:
        assert name in str(error)
    else:
        sys.exit("not rejected")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    load_model(small_experiment().model, tmp_path / "m.safetensors")
    assert load_state(tmp_path / "s.pt")["x"].shape == (3,)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.safetensors", "s.pt"]


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


def test_code_in_a_checkpoint_is_rejected(tmp_path):
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


def test_weights_of_another_architecture_are_rejected(tmp_path):
    other = small_experiment({"latents": 5})
    save_model(other.model, tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match=r"architecture: .* in the file, .* in the model"):
        load_model(small_experiment().model, tmp_path / "m.safetensors")
