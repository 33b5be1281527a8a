"""Seeds together or in turn give the same rows; what does not fit an ensemble is run in turn."""

from __future__ import annotations

import pytest
import torch

from relaxit import register, unregister
from relaxit.errors import Unsupported
from relaxit.reproduce.run import run_cell
from relaxit.training.ensembles.plan import batching_pays
from relaxit.training.experiment import build
from relaxit.training.stopping import StopRequest
from tests.training.signs import Sign
from tests.training.small import small_config

SIGN = {
    "relaxation": {"name": "test-sign", "options": {}},
    "estimator": {"name": "straight-through"},
}


class Told:
    def __init__(self, stop=None, after=0):
        self.way, self.epochs, self.stop, self.after = "", [], stop, after

    def began(self, way, seeds):
        self.way = way

    def epoch(self, seed, row):
        self.epochs.append((seed, row["epoch"]))
        if self.stop is not None and len(self.epochs) == self.after:
            self.stop.exit_code = 130


@pytest.fixture(autouse=True)
def registered():
    register(Sign)
    yield
    unregister(Sign)


def run(mode, *layers, seeds=(0, 1), epochs=(2,), told=None, stop=None):
    told, stop = told or Told(), StopRequest() if stop is None else stop
    return run_cell(small_config({"epochs": 2}, *layers), seeds, epochs, mode, told, stop), told


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
            assert mine == pytest.approx({key: theirs[key] for key in mine}, rel=1e-4)
    # Only epochs that someone asked for are evaluated.
    assert ["test_elbo_discrete" in row for row in together.rows[1]] == [False, True]
    assert ["test_elbo_discrete" in row for row in apart.rows[1]] == [False, True]


def test_what_draws_by_itself_is_run_in_turn_and_the_reason_kept():
    done, told = run("auto", SIGN)
    assert told.way == done.way == "in turn"
    assert "cannot be trained as an ensemble" in done.reason
    assert len(done.rows[1]) == 2
    with pytest.raises(Unsupported, match="cannot be trained as an ensemble"):
        run("always", SIGN)


@pytest.mark.parametrize("mode", ["always", "never"])
def test_seeds_that_diverge_are_lost_and_the_others_are_not(mode, monkeypatch):
    from relaxit.training import experiment

    original = experiment.build_model

    def spoiled(task, setup, images):
        model = original(task, setup, images)
        if setup.seed == 1:
            with torch.no_grad():
                next(model.parameters()).fill_(torch.inf)
        return model

    monkeypatch.setattr(experiment, "build_model", spoiled)
    done, _ = run(mode, seeds=(0, 1, 2))
    assert done.lost == {1: 0}
    assert done.finished
    assert [len(done.rows[seed]) for seed in (0, 1, 2)] == [2, 0, 2]


@pytest.mark.parametrize("mode", ["always", "never"])
def test_a_signal_leaves_the_cell_unfinished(mode):
    stop = StopRequest()
    done, _ = run(mode, told=Told(stop, after=1), stop=stop)
    assert not done.finished


def test_an_ensemble_pays_on_a_cpu_for_small_models_only():
    small = build(small_config())
    large = build(small_config({"model": {"hidden": [512, 256]}}))
    assert batching_pays(small, 10)
    assert not batching_pays(small, 1)
    assert not batching_pays(large, 10)
    large.device = torch.device("cuda")
    assert batching_pays(large, 10)
