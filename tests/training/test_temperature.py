"""The temperature of a run: one tensor that a schedule fills, or a learned parameter."""

import pytest
import torch

from relaxit.training.config import TemperatureConfig as TemperatureSettings
from relaxit.training.runs.checkpoint import load_state
from relaxit.training.temperature import Temperature
from tests.training.small_runs import run_at


def test_learned_temperature_moves_and_stays_positive(tmp_path):
    layer = {"temperature": {"schedule": "learned", "initial": 0.8}, "optimizer": {"lr": 0.05}}
    _, outcome = run_at(tmp_path / "run", layer)
    values = [row["temperature"] for row in outcome.rows]
    assert all(value > 0 for value in values)
    assert abs(values[-1] - 0.8) > 0.01
    assert load_state(tmp_path / "run" / "train_state.pt")["temperature"]["log_value"].isfinite()


def test_temperature_is_one_tensor_filled_in_place():
    tau = Temperature(TemperatureSettings(schedule="linear", initial=1.0, final=0.5), steps=10)
    tensor = tau()
    for step in (0, 5, 10):
        tau.set_step(step)
        assert tau() is tensor
        assert float(tensor) == pytest.approx(1.0 - 0.05 * step)
    other = Temperature(TemperatureSettings(schedule="linear"), steps=10)
    other.load_state_dict(tau.state_dict())
    assert torch.equal(other(), tensor)
