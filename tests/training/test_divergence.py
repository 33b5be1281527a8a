"""A loss or weights that are not finite stop the run, and the last good weights are kept."""

import pytest
import torch

import relaxit
from relaxit.errors import DivergenceError
from relaxit.training.divergence import DivergenceGuard
from relaxit.training.runs.checkpoint import load_model
from tests.training.signs import Sign
from tests.training.small import small_experiment
from tests.training.small_runs import run_at, weights


class Poisoned(Sign):
    """Gives a NaN sample from the eighth call on, the first of which is in the tried step."""

    name = "test-poisoned"
    calls = 0

    def relax(self, scores, temperature):
        type(self).calls += 1
        return super().relax(scores, temperature) * (float("nan") if type(self).calls > 8 else 1.0)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_good_weights(tmp_path):
    relaxit.register(Poisoned)
    try:
        Poisoned.calls = 0
        layer = {"relaxation": {"name": "test-poisoned", "options": {}}}
        with pytest.raises(DivergenceError, match="not finite at step 7;") as caught:
            run_at(tmp_path / "run", layer)
        assert caught.value.exit_code == 3
        experiment = small_experiment(layer)
        load_model(experiment.model, tmp_path / "run" / "model.safetensors")
        assert weights(experiment).isfinite().all()
        assert (tmp_path / "run" / "samples.png").is_file()
    finally:
        relaxit.unregister(Poisoned)


def test_divergence_after_resuming_keeps_the_trained_weights(tmp_path):
    relaxit.register(Poisoned)
    try:
        layer = {"relaxation": {"name": "test-poisoned", "options": {}}}
        Poisoned.calls = -1000
        trained, _ = run_at(tmp_path / "run", layer)
        Poisoned.calls = 7  # the tried step's sample is the last good one
        with pytest.raises(DivergenceError, match=f"the weights of step {trained.steps} were kept"):
            run_at(tmp_path / "run", layer, {"epochs": 4}, resume=True)
        experiment = small_experiment(layer)
        load_model(experiment.model, tmp_path / "run" / "model.safetensors")
        assert torch.equal(weights(experiment), weights(trained))
    finally:
        relaxit.unregister(Poisoned)


def test_weights_spoilt_by_the_last_update_are_not_saved(tmp_path, monkeypatch):
    step = torch.optim.AdamW.step

    def spoil_the_last(self, *args, **kwargs):
        result = step(self, *args, **kwargs)
        count = next(iter(self.state.values()))["step"]
        if count == 15:
            self.param_groups[0]["params"][0].data.fill_(float("nan"))
        return result

    monkeypatch.setattr(torch.optim.AdamW, "step", spoil_the_last)
    with pytest.raises(DivergenceError, match="step 15"):
        run_at(tmp_path / "run")
    experiment = small_experiment()
    load_model(experiment.model, tmp_path / "run" / "model.safetensors")
    assert weights(experiment).isfinite().all()
    assert "NaN" not in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_guard_without_a_look_at_each_step_still_names_the_first_bad_one():
    weight = torch.ones(3)
    guard = DivergenceGuard([weight], torch.device("cpu"))
    for step in range(100):  # nobody looks
        guard.begin(step)
        if step == 50:
            good = weight.clone()
        guard.see(torch.tensor(float("nan") if step >= 60 else 1.0))
        weight += 1
    guard.begin(100)  # these weights came after a bad loss, and are not kept
    with pytest.raises(DivergenceError, match=r"step 60; the weights of step 50"):
        guard.settle()
    assert torch.equal(weight, good)


def test_guard_keeps_no_weights_that_are_not_finite():
    weight = torch.ones(3)
    guard = DivergenceGuard([weight], torch.device("cpu"))
    weight[1] = torch.inf  # the losses do not show it yet
    guard.begin(50)
    with pytest.raises(DivergenceError, match=r"step 50; the weights of step 0"):
        guard.check_weights(50)
    assert torch.equal(weight, torch.ones(3))
