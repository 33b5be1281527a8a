"""Metrics and samples of a finished run."""

import json

import pytest

from relaxit.cli.app import run
from relaxit.training.runs.directory import RunDirectory
from tests.cli.short_runs import SMALL
from tests.data.idx_files import write_set


def test_evaluate_repeats_the_last_metrics(trained, capsys):
    assert run(["evaluate", str(trained), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    last = RunDirectory(trained).read_metrics()[-1]
    assert result["test_kl"] == pytest.approx(last["test_kl"], abs=1e-4)
    assert result["test_elbo_discrete"] == pytest.approx(last["test_elbo_discrete"], abs=0.5)


def test_samples_need_no_data_set(tmp_path):
    data = tmp_path / "files"
    write_set(data, "MNIST", train=40)
    flags = ["--dataset", "mnist", "--data-dir", str(data), "--out", "run", "--quiet"]
    assert run(["train", *SMALL, *flags]) == 0
    (data / "MNIST").rename(data / "gone")
    assert run(["sample", "run", "--count", "3"]) == 0
    assert (tmp_path / "run" / "samples-0.png").is_file()
    assert run(["evaluate", "run"]) == 4
