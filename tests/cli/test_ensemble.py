"""``relaxit train --ensemble`` as a person and as a program meet it."""

from __future__ import annotations

import json

import pytest

from relaxit.cli.app import run
from relaxit.training.experiment import Experiment
from relaxit.training.runs.directory import RunDirectory

SMALL = ["--epochs", "2", "--batch-size", "300", "--device", "cpu", "--latents", "2"]
SMALLER = """
epochs = 2
batch_size = 300
latents = 2
device = "cpu"
[task]
name = "vae"
options = { hidden = [8] }
"""


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--ensemble seeds=0", "from 1 to 10000, or several seeds, got '0'"),
        ("--ensemble seeds=-1", "got '-1'"),
        ("--ensemble seeds=1.5", "got '1.5'"),
        ("--ensemble seeds=", "got ''"),
        ("--ensemble seeds=1,", "integers from 0, got ''"),
        ("--ensemble seeds=1,two", "integers from 0, got 'two'"),
        ("--ensemble seeds=3,3", "3 is given twice"),
        ("--ensemble seeds=99999999", "from 1 to 10000"),
        ("--ensemble temperatures=0", "positive numbers, got '0'"),
        ("--ensemble temperatures=", "positive numbers, got ''"),
        ("--ensemble temperatures=1,nan", "positive numbers, got 'nan'"),
        ("--ensemble temperatures=1,1.0", "1.0 is given twice"),
        ("--ensemble temperatures=1,1e300",
         "temperature.initial must be at most 1e+30, got 1e+300"),
        ("--ensemble seeds=2 --seed 9223372036854775807", "less than 9223372036854775808"),
        ("--ensemble taus=1", "takes seeds=N, seeds=A,B,... or temperatures=A,B,..., got 'taus=1'"),
        ("--ensemble 10", "takes seeds=N"),
        ("--ensemble seeds=2 --ensemble seeds=3", "seeds is given twice"),
        ("--ensemble temperatures=1,2 --temperature 1", "give only one of them"),
        ("--ensemble seeds=1,2 --seed 5", "leave out --seed 5"),
        ("--ensemble seeds=2 --resume run", "--ensemble cannot change in mid-run"),
        ("--ensemble temperatures=0.1,1 --schedule exponential --final-temperature 0.5",
         "an exponential schedule must decrease"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, capsys, flags, said):
    if "--resume" in flags:
        RunDirectory(tmp_path / "run").create(overwrite=False)
        assert run(["train", *SMALL, "--out", "whole", "--quiet"]) == 0
        flags = flags.replace("--resume run", "--resume whole")
        before = sorted(tmp_path.rglob("*"))
        assert run(["train", *flags.split()]) == 2
        assert sorted(tmp_path.rglob("*")) == before
    else:
        assert run(["train", *SMALL, *flags.split()]) == 2
        assert list(tmp_path.iterdir()) == []
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("error: ")
    assert said in err


def test_a_table_means_and_members_that_are_runs(tmp_path, capsys):
    (tmp_path / "small.toml").write_text(SMALLER)
    flags = ["--recipe", "small.toml", "--out", "all"]
    assert run(["train", *flags, "--ensemble", "seeds=2", "--seed", "4", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["run"], found["way"]) == ("all", "one step")
    assert [member["name"] for member in found["members"]] == ["seed-4", "seed-5"]
    assert "2 members, run all" in err
    assert "all members train as one batched step" in err
    assert sum(line.startswith("epoch ") for line in err.splitlines()) == 2
    assert "mean ± s.e. of 2" in err
    assert run(["evaluate", "all/seed-5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test_examples"] == 360
    assert run(["sample", "all/seed-5", "--count", "4", "--out", "grid.png"]) == 0
    assert run(["train", "--resume", "all/seed-5", "--epochs", "3", "--quiet"]) == 0
    assert len(RunDirectory(tmp_path / "all" / "seed-5").read_metrics()) == 3
    capsys.readouterr()
    assert run(["train", "--resume", "all"]) == 4
    assert "is an ensemble; pass one of its runs: all" in capsys.readouterr().err


def test_temperatures_without_a_schedule_are_constant(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Experiment, "draw", lambda *_: None)
    (tmp_path / "small.toml").write_text(SMALLER)
    flags = ["--recipe", "small.toml", "--epochs", "1", "--out", "all"]
    assert run(["train", *flags, "--ensemble", "temperatures=0.5,2"]) == 0
    table = capsys.readouterr().err
    assert "mean ± s.e." not in table
    for tau in (0.5, 2.0):
        config = RunDirectory(tmp_path / "all" / f"temperature-{tau}").read_config()
        assert (config.temperature.schedule, config.temperature.initial) == ("constant", tau)
    assert run(["train", *flags, "--ensemble", "seeds=2"]) == 2
    assert "all exists: --overwrite replaces it" in capsys.readouterr().err
    assert run(["train", *flags, "--ensemble", "seeds=2", "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    directories = {p.name for p in (tmp_path / "all").iterdir() if p.is_dir()}
    assert directories == {"seed-0", "seed-1"}


def test_what_cannot_be_one_step_is_trained_in_turn_and_says_why(tmp_path, capsys, monkeypatch):
    from relaxit.errors import Unsupported
    from relaxit.training.ensembles import plan

    def unsupported(_):
        raise Unsupported("vmap knows no such thing")

    monkeypatch.setattr(plan, "Ensemble", unsupported)
    monkeypatch.setattr(Experiment, "draw", lambda *_: None)
    (tmp_path / "small.toml").write_text(SMALLER)
    flags = ["--recipe", "small.toml", "--epochs", "1", "--ensemble", "seeds=2"]
    assert run(["train", *flags, "--out", "all"]) == 0
    err = capsys.readouterr().err
    assert "members train in turn: vmap knows no such thing" in err
    assert "seed-1, 2 of 2" in err


def test_a_dry_run_names_the_members(tmp_path, capsys):
    assert run(["train", "--ensemble", "seeds=2", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["seed"] == 0
    assert "members: seed-0, seed-1" in err
    assert list(tmp_path.iterdir()) == []
