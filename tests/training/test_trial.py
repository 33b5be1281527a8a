"""A step that was tried leaves no trace in what it was given."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from relaxit.training.assembly import assemble
from relaxit.training.building import preflight
from relaxit.training.trainer import Trainer
from relaxit.training.trial import Trial, trial
from tests.training.chooser import TASK
from tests.training.small import small_config
from tests.training.two_choices import TWO

CPU = torch.device("cpu")
POLYNOMIAL = {
    "task": {"name": "polynomial"},
    "relaxation": {"name": "binary", "options": {}},
    "latents": 128,
    "data": {"name": "constant"},
}
RUNS = {
    "vae": {"data": {"options": {"binarise": "dynamic"}}},
    "state": {"estimator": {"name": "rebar"}},
    "learned": {"temperature": {"schedule": "learned"}},
    "chooser": {**TASK, "estimator": {"name": "reinforce"}},
    "polynomial": POLYNOMIAL,
    "two": TWO,
}


pytestmark = pytest.mark.usefixtures("toys_registered")


def everything(parts):
    tensors = {
        f"{part}.{name}": tensor.detach().clone()
        for part, module in parts.items()
        for name, tensor in module.state_dict().items()
    }
    plain = {
        f"{part}.{path}.{name}": value
        for part, root in parts.items()
        for path, module in root.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, int | float | str)
    }
    grads = [p.grad for module in parts.values() for p in module.parameters()]
    return tensors, plain, grads


def same(one, other):
    assert one[1:] == other[1:]
    assert one[0].keys() == other[0].keys()
    assert all(torch.equal(one[0][name], other[0][name]) for name in one[0])


@pytest.mark.parametrize("name", RUNS)
def test_building_changes_nothing(name):
    (e,) = assemble([small_config(RUNS[name])])
    before, noise = everything(e.parts), torch.get_rng_state()
    preflight(e)
    after = everything(e.parts)
    same(before, after)
    assert set(after[2]) == {None}
    assert torch.equal(torch.get_rng_state(), noise)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("name", RUNS)
def test_steps_of_a_trainer_are_undone_also_where_one_fails(name, fails):
    (e,) = assemble([small_config(RUNS[name])])
    trainer = Trainer(e)
    trainer.train_step(torch.arange(8))  # the optimizer has moments
    before = everything(e.parts), trainer.totals.clone(), trainer.generator.get_state()
    moments = [m.clone() for s in trainer.optimizer.state.values() for m in s.values()]
    index = torch.arange(8)
    try:
        with trainer.trial():
            for _ in range(2):
                trainer.engine(index)
            assert not torch.equal(before[1], trainer.totals)
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert fails
    after = everything(e.parts)
    assert before[0][1] == after[1]
    assert all(torch.equal(before[0][0][key], after[0][key]) for key in after[0])
    assert set(after[2]) == {None}
    assert torch.equal(before[1], trainer.totals)
    assert torch.equal(before[2], trainer.generator.get_state())
    again = [m for s in trainer.optimizer.state.values() for m in s.values()]
    assert all(torch.equal(a, b) for a, b in zip(moments, again, strict=True))


class Restless(nn.Module):
    """Changes everything that it can change."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.inner = nn.Module()
        self.inner.register_buffer("in_place", torch.zeros(3))
        self.inner.register_buffer("replaced", torch.zeros(3))
        self.inner.calls, self.inner.share, self.inner.word = 0, 0.5, "new"

    def step(self):
        with torch.no_grad():
            self.weight.add_(1)
        self.weight.square().sum().backward()
        self.inner.in_place += 1
        self.inner.replaced = self.inner.replaced + 1
        self.inner.calls += 1
        self.inner.share /= 2
        self.inner.word = "used"
        self.train(not self.training)
        torch.rand(3)


def test_parameters_buffers_attributes_gradients_and_noise_come_back():
    module, generator, extra = Restless(), torch.Generator().manual_seed(3), torch.zeros(4)
    before, noise = everything({"m": module}), torch.get_rng_state()
    drawn = generator.get_state()
    weight, buffer = module.weight, module.inner.in_place
    with trial(CPU, {"m": module}, [extra], [generator]) as attempt:
        module.step()
        extra += torch.rand(4, generator=generator)
        with pytest.raises(RuntimeError, match=r"a step changes .* of the m, which"):
            attempt.require_tensors()
    same(before, everything({"m": module}))
    assert module.weight is weight  # restored in place
    assert module.inner.in_place is buffer
    assert weight.grad is None
    assert torch.equal(extra, torch.zeros(4))
    assert torch.equal(generator.get_state(), drawn)
    assert torch.equal(torch.get_rng_state(), noise)


def test_addresses_tell_a_replaced_buffer_from_a_changed_one():
    module = Restless()
    attempt = Trial({"m": module})
    first = attempt.addresses()
    module.inner.in_place += 1
    assert attempt.addresses() == first
    module.inner.replaced = module.inner.replaced + 1
    assert attempt.addresses() != first


def test_moments_that_are_new_become_zero():
    weight = nn.Parameter(torch.ones(3))
    module = nn.Module()
    module.weight = weight
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    with trial(CPU, {"m": module}, optimizer=optimizer):
        weight.square().sum().backward()
        optimizer.step()
    assert torch.equal(weight.detach(), torch.ones(3))
    (state,) = optimizer.state.values()
    assert all(not moment.any() for moment in state.values())
