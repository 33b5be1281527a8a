"""``relaxit train`` improves the bound, whatever it is asked to train."""

import json

import pytest

import relaxit
from relaxit.cli.app import run
from relaxit.training.runs.directory import RunDirectory
from tests.cli.short_runs import SMALL, last_line
from tests.conftest import needs_cuda
from tests.training.signs import Sign


@pytest.mark.parametrize("estimator", ["pathwise", "straight-through", "st-gumbel"])
@pytest.mark.parametrize("relaxation", ["categorical", "binary"])
def test_every_pair_trains(tmp_path, relaxation, estimator):
    flags = ["--relaxation", relaxation, "--estimator", estimator, "--out", "run", "--quiet"]
    assert run(["train", *SMALL, *flags]) == 0
    rows = RunDirectory(tmp_path / "run").read_metrics()
    assert rows[1]["test_elbo_discrete"] > rows[0]["test_elbo_discrete"]


@pytest.mark.parametrize(
    "flags", [["--kl", "relaxed"], ["--schedule", "learned"], ["--binarise", "dynamic"]]
)
def test_other_objectives_train(tmp_path, flags):
    assert run(["train", *SMALL, *flags, "--out", "run", "--quiet"]) == 0
    rows = RunDirectory(tmp_path / "run").read_metrics()
    assert rows[1]["test_elbo_discrete"] > rows[0]["test_elbo_discrete"]


def test_a_relaxation_defined_here_trains_and_improves(tmp_path, capsys):
    relaxit.register(Sign)
    try:
        flags = [
            "--relaxation",
            "test-sign",
            "--epochs",
            "8",
            "--batch-size",
            "50",
            "--latents",
            "10",
        ]
        assert run(["train", *flags, "--out", "run", "--quiet"]) == 0
        rows = RunDirectory(tmp_path / "run").read_metrics()
        # Without the latents the best is the mean image; they must carry something.
        assert rows[-1]["test_elbo_discrete"] > rows[0]["test_elbo_discrete"] + 0.5
        assert rows[-1]["test_kl"] > 0.5
        assert run(["evaluate", "run", "--importance-samples", "20", "--json"]) == 0
        result = json.loads(capsys.readouterr().out)
        assert result["test_importance_weighted_bound"] > result["test_elbo_discrete"]
        assert run(["sample", "run", "--count", "5", "--out", "s.png"]) == 0
        assert (tmp_path / "s.png").stat().st_size > 100
    finally:
        relaxit.unregister(Sign)
    assert run(["evaluate", "run"]) == 5  # the plugin has gone
    assert "test-sign" in last_line(capsys)


@pytest.mark.gpu
@needs_cuda
def test_auto_takes_the_gpu(capsys):
    assert run(["train", "--epochs", "1", "--out", "run"]) == 0
    assert "device cuda:0 (best available)" in capsys.readouterr().err
