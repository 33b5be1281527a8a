"""Which optimizer a run has, and how its rate moves."""

from __future__ import annotations

import pytest
import torch

from relaxit.cli.app import run
from relaxit.errors import ConfigurationError
from relaxit.training.callbacks import SilentCallback
from relaxit.training.config import OptimizerConfig
from relaxit.training.optimizer import build_optimizer
from relaxit.training.stopping import StopRequest
from relaxit.training.trainer import Trainer
from tests.training.small import small_config, small_experiment


def test_radam_is_radam_with_decoupled_decay():
    weight = torch.full((3,), 2.0, requires_grad=True)
    tau = torch.zeros((), requires_grad=True)
    settings = OptimizerConfig(method="radam", lr=0.1, weight_decay=0.5)
    ours = build_optimizer(settings, [weight], [tau])
    assert isinstance(ours, torch.optim.RAdam)
    weight.grad = torch.zeros(3)
    ours.step()  # without a gradient only the decay is left
    assert torch.allclose(weight.detach(), torch.full((3,), 2.0 * (1 - 0.1 * 0.5)))
    assert [group["weight_decay"] for group in ours.param_groups] == [0.5, 0.0]


def test_adam_is_the_default():
    assert isinstance(Trainer(small_experiment()).optimizer, torch.optim.AdamW)


def test_radam_trains_otherwise_than_adam():
    found = []
    for method in ("adam", "radam"):
        trainer = Trainer(small_experiment({"optimizer": {"method": method}}))
        trainer.run_epoch(SilentCallback(), StopRequest())
        found.append(trainer.means()["train_loss"])
    assert found[0] != pytest.approx(found[1], rel=1e-3)


def test_the_flag(capsys):
    assert run(["train", "--optimizer", "radam", "--dry-run", "--quiet"]) == 0
    assert '"method": "radam"' in capsys.readouterr().out
    assert run(["train", "--optimizer", "sgd", "--dry-run"]) == 2
    assert "--optimizer" in capsys.readouterr().err
    with pytest.raises(ConfigurationError, match=r"optimizer\.method"):
        small_config({"optimizer": {"method": "sgd"}})


@pytest.mark.parametrize(("name", "learns"), [("st-gumbel", True), ("rloo", False)])
def test_a_temperature_without_gradient_is_not_called_learned(name, learns):
    changed = {"temperature": {"schedule": "learned"}, "estimator": {"name": name}}
    if not learns:
        with pytest.raises(ConfigurationError, match=r"learned.*'rloo' gives the temperature no"):
            small_experiment(changed)
        return
    trainer = Trainer(small_experiment(changed))
    trainer.run_epoch(SilentCallback(), StopRequest())
    assert trainer.experiment.temperature().item() != 1.0


def test_weight_decay_leaves_the_estimator_alone():
    changed = {"estimator": {"name": "rebar", "options": {"eta": 0.1}}}
    trainer = Trainer(small_experiment({**changed, "optimizer": {"weight_decay": 10.0}}))
    (log_eta,) = trainer.experiment.model.estimator_state.parameters()
    decay = {id(p): g["weight_decay"] for g in trainer.optimizer.param_groups for p in g["params"]}
    assert decay.pop(id(log_eta)) == 0
    assert set(decay.values()) == {10.0}
    assert len(decay) == len(list(trainer.experiment.model.parameters())) - 1
