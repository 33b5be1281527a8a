"""A first step on copies rejects what the run would reject, and leaves no trace in it."""

from __future__ import annotations

import pytest
import torch
from relaxit.training.preflight import check_learned_temperature

from relaxit.errors import ConfigurationError
from relaxit.training.callbacks import SilentCallback
from relaxit.training.loop import Trainer
from relaxit.training.stopping import StopRequest
from tests.training.small import small_experiment


def learned(name, **changed):
    return small_experiment(
        {"temperature": {"schedule": "learned"}, "estimator": {"name": name}, **changed}
    )


def test_a_temperature_without_gradient_is_rejected():
    with pytest.raises(ConfigurationError, match=r"learned.*'rloo' gives the temperature no"):
        check_learned_temperature(learned("rloo"))
    other = {"temperature": {"schedule": "constant"}, "estimator": {"name": "rloo"}}
    check_learned_temperature(small_experiment(other))


@pytest.mark.parametrize("warmup", [0.0, 0.5])
def test_the_run_is_bitwise_the_same(warmup):
    ends = []
    for rehearsed in (False, True):
        e = learned("st-gumbel", objective={"kl_warmup": warmup})
        before = torch.get_rng_state()
        if rehearsed:
            check_learned_temperature(e)
            assert torch.equal(torch.get_rng_state(), before)
            own = [*e.model.parameters(), *e.temperature.parameters()]
            assert all(parameter.grad is None for parameter in own)
        trainer = Trainer(e)
        trainer.run_epoch(SilentCallback(), StopRequest())
        ends.append([*e.model.state_dict().values(), e.temperature().detach(), trainer.totals])
    for plain, rehearsed in zip(*ends, strict=True):
        assert torch.equal(plain, rehearsed)
