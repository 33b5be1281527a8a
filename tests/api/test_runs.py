"""Several seeds from Python: each member is the run of its seed, and the means are right."""

from __future__ import annotations

import statistics

import pytest

import relaxit
from relaxit.errors import DivergenceError
from tests.api.quick import QUICK


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return relaxit.train(seeds=3, seed=5, out=tmp_path_factory.mktemp("e") / "runs", **QUICK)


def test_each_member_is_the_run_of_its_seed(runs, tmp_path):
    assert [run.config.seed for run in runs] == [5, 6, 7]
    alone = relaxit.train(seed=6, out=tmp_path / "alone", **QUICK)
    for mine, its in zip(runs[1].metrics, alone.metrics, strict=True):
        assert mine["test_elbo_discrete"] == pytest.approx(its["test_elbo_discrete"], rel=1e-4)
    assert relaxit.load_run(runs[1].path).metrics == runs[1].metrics


def test_the_summary_has_means_and_standard_errors(runs):
    values = [run.metrics[-1]["test_kl"] for run in runs]
    found = runs.summary["test_kl"]
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.error == pytest.approx(statistics.stdev(values) / 3**0.5)
    assert "mean of 3 runs" in runs.to_html()
    assert runs.diverged == []


def test_seeds_are_taken_as_given(tmp_path):
    runs = relaxit.train(seeds=[9, 2], out=tmp_path / "two", **{**QUICK, "epochs": 1})
    assert [run.config.seed for run in runs] == [9, 2]


def test_if_every_run_diverges_the_first_reason_is_raised(tmp_path):
    with pytest.raises(DivergenceError, match="diverged"):
        relaxit.train(seeds=2, out=tmp_path / "bad", **{**QUICK, "lr": 1e30})
