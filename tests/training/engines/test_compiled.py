"""Compiled steps are those of the eager engine, which takes over where compiling fails."""

from __future__ import annotations

import shutil

import pytest
import torch

import relaxit
from relaxit.errors import ConfigurationError
from relaxit.training.callbacks import SilentCallback
from relaxit.training.stopping import StopRequest
from relaxit.training.trainer import Trainer
from relaxit.training.trial import Trial
from tests.training.engines.comparison import LONG, RUNS, SCHEDULES, apart, state, trained
from tests.training.signs import Sign
from tests.training.small import small_experiment


@pytest.mark.parametrize("name", RUNS)
def test_what_is_prepared_for_the_compiler_is_the_same_run_to_the_bit(uncompiled, name):
    fast, plain = trained(*RUNS[name], {"engine": "compile"}), trained(*RUNS[name])
    assert fast.engine.name == "compile"
    assert all(torch.equal(a, b) for a, b in zip(state(fast), state(plain), strict=True))
    assert torch.equal(fast.generator.get_state(), plain.generator.get_state())


def test_that_comparison_sees_a_trial_that_is_not_undone(uncompiled, monkeypatch):
    monkeypatch.setattr(Trial, "undo", lambda self: None)
    assert apart(trained(SCHEDULES, {"engine": "compile"}), trained(SCHEDULES)) > 1e-4


@pytest.mark.skipif(shutil.which("c++") is None, reason="the inductor needs a C++ compiler")
def test_compiled_steps_are_the_plain_ones_up_to_rounding_and_compiled_once():
    from torch._dynamo.utils import counters

    tiny = {"task": {"options": {"hidden": [8]}}}
    fast = Trainer(small_experiment(SCHEDULES, tiny, {"engine": "compile"}))
    fast.train_step(torch.arange(300))
    graphs = counters["stats"]["unique_graphs"]
    plain = Trainer(small_experiment(SCHEDULES, tiny))
    plain.train_step(torch.arange(300))
    for trainer in (fast, plain):
        trainer.position = 0
        for _ in range(3):  # temperature, KL weight and rate move; the last batch has 137
            trainer.run_epoch(SilentCallback(), StopRequest())
            trainer.next_epoch()
            trainer.totals.fill_(trainer.step)
    assert fast.engine.name == "compile"
    assert counters["stats"]["unique_graphs"] == graphs
    assert fast.experiment.temperature().item() < 0.6
    assert apart(fast, plain) < 1e-5


def test_no_run_is_taken_for_another_that_was_compiled_before(monkeypatch):
    # The compiler keeps its work with the code object, and is told to look at tensors only.
    codes = []
    monkeypatch.setattr(torch, "compile", lambda f, **_: codes.append(f.__code__) or f)
    for seed in (0, 1):
        trained({"engine": "compile", "seed": seed}, epochs=1)
    assert codes[0] is not codes[1]


@pytest.fixture
def broken_compiler(monkeypatch):
    """A compiler that fails when it compiles, which is at the first call of its function."""

    def fail(*_):
        raise RuntimeError("InvalidCxxCompiler: none of these were found:\n  g++")

    monkeypatch.setattr(torch, "compile", lambda function, **options: fail)


def test_what_does_not_compile_is_rejected_where_it_was_asked_for(broken_compiler):
    trainer = Trainer(small_experiment({"engine": "compile"}))
    with pytest.raises(ConfigurationError, match=r"--engine.*compile does not work.*Invalid") as e:
        trainer.train_step(torch.arange(300))
    assert "\n" not in str(e.value)
    assert e.value.exit_code == 2


def test_what_does_not_compile_runs_eagerly_where_it_was_not(broken_compiler):
    with pytest.warns(UserWarning, match="eager is used: RuntimeError: InvalidCxx") as told:
        fallen = trained(LONG, {"engine": "auto"})
    assert len(told) == 1
    assert fallen.engine.name == "eager"
    assert all(torch.equal(a, b) for a, b in zip(state(fallen), state(trained(LONG)), strict=True))


def test_code_that_draws_by_itself_does_not_compile_and_falls_back(uncompiled):
    # The hard draw of this relaxation goes to torch.rand, which takes no handle.
    relaxit.register(Sign)
    try:
        layer = {"relaxation": {"name": "test-sign", "options": {}}, **LONG}
        with pytest.warns(UserWarning, match="eager is used"):
            fallen = trained(layer, {"engine": "auto"})
        assert all(
            torch.equal(a, b) for a, b in zip(state(fallen), state(trained(layer)), strict=True)
        )
    finally:
        relaxit.unregister(Sign)


class Counted(torch.nn.Module):
    """Changes with the number of times it was called, which no tensor knows."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls


@pytest.mark.parametrize("asked", ["auto", "compile"])
def test_a_model_that_counts_in_python_is_not_compiled(uncompiled, asked):
    trainer = Trainer(small_experiment(LONG, {"engine": asked}))
    trainer.experiment.model.encoder.append(Counted())
    index = torch.arange(100)
    if asked == "compile":
        with pytest.raises(ConfigurationError, match=r"encoder\.\d+\.calls"):
            trainer.train_step(index)
        return
    with pytest.warns(UserWarning, match="not a tensor"):
        trainer.train_step(index)
    assert trainer.engine.name == "eager"
    assert trainer.experiment.model.encoder[-1].calls == 1
