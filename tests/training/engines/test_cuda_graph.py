"""Steps recorded as one CUDA graph are those of the eager engine."""

from __future__ import annotations

import warnings

import pytest
import torch

from relaxit.training.callbacks import SilentCallback
from relaxit.training.stopping import StopRequest
from relaxit.training.trainer import Trainer
from tests.conftest import needs_cuda
from tests.training.engines.comparison import RUNS, SCHEDULES, apart, trained
from tests.training.small import small_experiment


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("name", RUNS)
def test_a_graph_is_the_plain_run(name):
    plain = trained(*RUNS[name], {"device": "cuda", "engine": "eager"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph = trained(*RUNS[name], {"device": "cuda", "engine": "graph"})
    assert apart(graph, plain) < 1e-3  # sums on a GPU are not repeatable to the bit
    assert torch.equal(graph.generator.get_state(), plain.generator.get_state())


@pytest.mark.gpu
@needs_cuda
def test_no_step_of_a_graph_waits_for_the_device():
    trainer = Trainer(small_experiment({"device": "cuda", "engine": "graph"}, SCHEDULES))
    trainer.train_step(torch.arange(300, device="cuda"))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(60):  # and past the step at which weights are kept
            trainer.train_step(torch.arange(300, device="cuda"))
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@needs_cuda
def test_a_graph_is_recorded_anew_after_resuming():
    layers = (SCHEDULES, {"device": "cuda", "engine": "graph"})
    whole = trained(*layers, epochs=3)
    saved = trained(*layers, epochs=2)
    saved.next_epoch()
    other = Trainer(small_experiment(*layers))
    other.train_step(torch.arange(300, device="cuda"))
    other.load_state_dict(saved.state_dict())
    other.run_epoch(SilentCallback(), StopRequest())
    assert apart(whole, other) < 1e-3
