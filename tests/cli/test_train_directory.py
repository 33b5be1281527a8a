"""Where a run is written: an existing directory is kept, replaced, or continued after a stop."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from relaxit.cli.app import run
from relaxit.training.runs.directory import RunDirectory
from relaxit.training.stopping import StopRequest
from tests.cli.short_runs import SMALL, last_line


def test_out_that_exists_is_left_alone(trained, capsys):
    before = {p: p.read_bytes() for p in trained.iterdir() if p.is_file()}
    assert run(["train", *SMALL, "--out", str(trained)]) == 2
    said = last_line(capsys)
    assert "--overwrite" in said
    assert "--resume" in said
    assert {p: p.read_bytes() for p in trained.iterdir() if p.is_file()} == before


def test_overwrite_replaces_a_run_and_nothing_else(tmp_path, capsys):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("mine")
    assert run(["train", *SMALL, "--out", "precious", "--overwrite"]) == 2
    assert "not a run directory" in last_line(capsys)
    (tmp_path / "file").write_text("mine")
    assert run(["train", *SMALL, "--out", "file"]) == 2
    assert run(["train", *SMALL, "--out", "run", "--quiet"]) == 0
    first = (tmp_path / "run" / "model.safetensors").read_bytes()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    flags = ["--out", "run", "--overwrite", "--quiet", "--seed", "1"]
    assert run(["train", *SMALL, *flags]) == 0
    assert (tmp_path / "run" / "model.safetensors").read_bytes() != first
    assert len(RunDirectory(tmp_path / "run").read_metrics()) == 2
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    other = tmp_path / "model"  # a directory of another project, with a config.json of its own
    other.mkdir()
    (other / "config.json").write_text('{"hidden_size": 8}')
    assert run(["train", *SMALL, "--out", "model", "--overwrite"]) == 2
    assert [p.name for p in other.iterdir()] == ["config.json"]
    assert (tmp_path / "precious" / "thesis.txt").read_text() == "mine"


def test_out_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(["train", *SMALL, "--out", "file/below"]) == 4
    assert "file" in last_line(capsys)


def test_json_is_alone_on_stdout_and_runs_go_to_a_new_directory(tmp_path, capsys):
    assert run(["train", *SMALL, "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["epoch"] == 2
    assert RunDirectory(tmp_path / result["run"]).read_metrics()[-1]["step"] == result["step"]
    lines = err.splitlines()
    assert lines[0].startswith("device cpu")
    assert sum(line.startswith("epoch ") for line in lines) == 2
    assert "surrogate: soft sample with discrete KL" in err
    first = result["run"]
    assert run(["train", *SMALL, "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["run"] != first
    assert err == ""


def test_resume_continues_and_rejects_other_changes(tmp_path, capsys):
    assert run(["train", *SMALL, "--out", "run", "--quiet"]) == 0
    assert run(["train", "--resume", "run", "--lr", "0.1"]) == 2
    assert "--lr" in last_line(capsys)
    assert run(["train", "--resume", "run", "--temperature", "0.1"]) == 2
    assert run(["train", "--resume", "run", "--epochs", "3", "--quiet"]) == 0
    assert [row["epoch"] for row in RunDirectory(tmp_path / "run").read_metrics()] == [1, 2, 3]
    capsys.readouterr()
    assert run(["train", "--resume", "run", "--json"]) == 0  # nothing left: says so, and succeeds
    assert json.loads(capsys.readouterr().out)["epoch"] == 3


def test_ctrl_c_leaves_a_complete_run(tmp_path):
    command = [
        sys.executable,
        "-c",
        "from relaxit.cli import main; main()",
        "train",
        "--out",
        "run",
    ]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 2/"):
            process.send_signal(signal.SIGINT)
            break
    rest = process.stderr.read()
    assert process.wait(60) == 130
    assert "--resume run" in rest
    names = {p.name for p in Path("run").iterdir()}
    assert {
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "samples.png",
        "curves.png",
    } <= names
    assert run(["evaluate", "run", "--json"]) == 0


def test_stopped_before_the_first_step(tmp_path, monkeypatch, capsys):
    class StoppedAtOnce(StopRequest):
        def __enter__(self):
            self.exit_code = 130
            return self

    monkeypatch.setattr("relaxit.training.loop.StopRequest", StoppedAtOnce)
    assert run(["train", *SMALL, "--out", "run", "--json"]) == 130
    out, err = capsys.readouterr()
    assert json.loads(out) == {"run": "run", "exit_code": 130}
    assert "--resume run" in err
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert run(["train", "--resume", "run", "--quiet"]) == 0
