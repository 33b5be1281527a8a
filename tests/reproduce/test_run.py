"""Seeds together or in turn give the same rows; what does not fit an ensemble is run in turn."""

from __future__ import annotations

import signal

import pytest
import torch

from relaxit import register, unregister
from relaxit.errors import Unsupported
from relaxit.reproduce.run import run_cell
from relaxit.training.building import build
from relaxit.training.ensembles.plan import batching_pays
from relaxit.training.loop import train
from tests.training.signs import Sign
from tests.training.small import small_config

SIGN = {
    "relaxation": {"name": "test-sign", "options": {}},
    "estimator": {"name": "straight-through"},
}


class Told:
    def __init__(self, stop_after=0):
        self.way, self.epochs, self.stop_after = "", [], stop_after

    def began(self, way, seeds):
        self.way = way

    def epoch(self, seed, row):
        self.epochs.append((seed, row["epoch"]))
        if len(self.epochs) == self.stop_after:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def registered():
    register(Sign)
    yield
    unregister(Sign)


def run(mode, *layers, seeds=(0, 1), epochs=(2,), told=None):
    told = told or Told()
    return run_cell(small_config({"epochs": 2}, *layers), seeds, epochs, mode, told), told


def test_together_and_in_turn_are_the_same():
    together, told = run("always")
    apart, told_apart = run("never")
    assert (together.way, apart.way) == ("ensemble", "in turn")
    assert (told.way, told_apart.way) == ("ensemble", "in turn")
    assert told.epochs == [(None, 1), (None, 2)]
    assert told_apart.epochs == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert together.finished
    assert apart.finished
    for seed in (0, 1):
        for mine, theirs in zip(together.rows[seed], apart.rows[seed], strict=True):
            assert mine.keys() == theirs.keys()
            timeless = {key: value for key, value in theirs.items() if "second" not in key}
            assert {key: mine[key] for key in timeless} == pytest.approx(timeless, rel=1e-4)
    # Only epochs that someone asked for are evaluated.
    assert ["test_elbo_discrete" in row for row in together.rows[1]] == [False, True]
    assert ["test_elbo_discrete" in row for row in apart.rows[1]] == [False, True]


@pytest.mark.parametrize("mode", ["always", "never"])
def test_rows_are_those_of_runs_alone_and_nothing_is_written(mode, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layer = {"temperature": {"schedule": "learned"}, "data": {"validation": 100}}
    done, _ = run(mode, layer, seeds=(3, 5), epochs=(1, 2))
    for seed, rows in done.rows.items():
        alone = train(build(small_config({"epochs": 2, "seed": seed}, layer))).rows
        for mine, theirs in zip(rows, alone, strict=True):
            assert mine.keys() == theirs.keys()
            timeless = {key: value for key, value in theirs.items() if "second" not in key}
            assert {key: mine[key] for key in timeless} == pytest.approx(timeless, rel=1e-4)
    assert set(done.rows) == {3, 5}
    assert list(tmp_path.iterdir()) == []


def test_what_draws_by_itself_is_run_in_turn_and_the_reason_kept():
    done, told = run("auto", SIGN)
    assert told.way == done.way == "in turn"
    assert "cannot be trained as an ensemble" in done.reason
    assert len(done.rows[1]) == 2
    with pytest.raises(Unsupported, match="cannot be trained as an ensemble"):
        run("always", SIGN)


@pytest.mark.parametrize("mode", ["always", "never"])
def test_seeds_that_diverge_are_lost_and_the_others_are_not(mode, monkeypatch):
    from relaxit.training import assembly

    original = assembly.build_model

    def spoiled(task, setup, format):
        model = original(task, setup, format)
        if setup.seed == 1:
            with torch.no_grad():
                next(model.parameters()).fill_(torch.inf)
        return model

    monkeypatch.setattr(assembly, "build_model", spoiled)
    done, _ = run(mode, seeds=(0, 1, 2))
    assert done.lost == {1: 0}
    assert done.finished
    assert {seed: len(rows) for seed, rows in done.rows.items()} == {0: 2, 2: 2}


@pytest.mark.parametrize("mode", ["always", "never"])
def test_a_signal_leaves_the_cell_unfinished(mode):
    done, told = run(mode, told=Told(stop_after=1))
    assert not done.finished
    assert len(told.epochs) == 1


def test_an_ensemble_pays_on_a_cpu_for_small_models_only():
    small = build(small_config())
    large = build(small_config({"task": {"options": {"hidden": [512, 256]}}}))
    assert batching_pays(small, 10)
    assert not batching_pays(small, 1)
    assert not batching_pays(large, 10)
    large.device = torch.device("cuda")
    assert batching_pays(large, 10)
