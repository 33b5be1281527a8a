"""The fused draw on the CPU equals the reference implementation on the same noise."""

from __future__ import annotations

import math

import pytest
import torch

from relaxit import noise
from relaxit.categorical.categorical import Categorical
from relaxit.categorical.fast import cpu
from relaxit.categorical.fast.entropy import entropy as entropy_of
from relaxit.estimators.st_gumbel import StraightThroughGumbel
from tests.categorical.fast.fused_draws import (
    SCALES,
    SHAPES,
    TEMPERATURES,
    close,
    logits_for,
    plain,
)
from tests.helpers import seed


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("temperature", TEMPERATURES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sample_and_gradient_are_those_of_the_reference_implementation(
    shape, temperature, scale, dtype, masked
):
    categorical = Categorical(categories=shape[-1])
    logits = logits_for(shape, scale, masked, dtype)
    sample = torch.Size([2])
    assert cpu.usable(logits, temperature)
    soft, hard = cpu.concrete(logits, temperature, sample, seed(1), hard=True)
    want, vertex = plain(categorical, logits, temperature, sample, seed(1))
    steep = scale / (50 * temperature)
    close(soft, want, dtype, steep)
    assert (hard == vertex).all()
    assert not hard.requires_grad
    assert (soft[~(logits == -torch.inf).expand_as(soft)] > 0).all()
    arriving = torch.randn(soft.shape, generator=seed(2), dtype=dtype)
    got = torch.autograd.grad(soft, logits, arriving)
    # Relative to what a gradient may be: it grows as 1 / temperature.
    (right,) = torch.autograd.grad(want, logits, arriving)
    close(got[0] * temperature, right * temperature, dtype, steep)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_temperature_for_each_row(dtype):
    logits = logits_for((5, 3, 10), 2.0, dtype=dtype)
    temperature = torch.linspace(0.1, 3.0, 15, dtype=dtype).view(5, 3, 1)
    soft, hard = cpu.concrete(logits, temperature, torch.Size(), seed(1), hard=True)
    want, vertex = plain(Categorical(categories=10), logits, temperature, torch.Size(), seed(1))
    close(soft, want, dtype)
    assert torch.equal(hard, vertex)
    arriving = torch.randn(soft.shape, generator=seed(2), dtype=dtype)
    got = torch.autograd.grad(soft, logits, arriving)
    close(got, torch.autograd.grad(want, logits, arriving), dtype, steep=10)


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_a_distribution_takes_it(temperature, monkeypatch):
    calls = []

    def spy(*arguments, **named):
        calls.append(named["hard"])
        return original(*arguments, **named)

    original = cpu.concrete
    monkeypatch.setattr(cpu, "concrete", spy)
    q = Categorical(categories=3)(logits_for((4, 3), 1.0), temperature)
    q.rsample()
    q.draw()
    q.sample()
    assert calls == [False, True, False]


class Halved(Categorical):
    """Another smoothing than that of the fused implementation."""

    name = "halved"

    def relax(self, scores, temperature):
        return super().relax(scores, temperature) / 2


def test_a_subclass_keeps_its_own_smoothing():
    soft = Halved(categories=3)(torch.zeros(4, 3)).rsample()
    torch.testing.assert_close(soft.sum(-1), torch.full((4,), 0.5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_short_dtypes(dtype, temperature):
    categorical = Categorical(categories=10)
    logits = logits_for((40, 10), 3.0, masked=True).detach().to(dtype).requires_grad_()
    soft, hard = categorical.draw(logits, temperature, torch.Size(), seed(1))
    want, vertex = plain(categorical, logits, temperature, torch.Size(), seed(1))
    assert soft.dtype == hard.dtype == dtype
    torch.testing.assert_close(soft, want)
    assert torch.equal(hard, vertex)


def test_learned_temperatures_take_the_reference_implementation():
    tau = torch.tensor(0.5, requires_grad=True)
    logits = logits_for((4, 3), 1.0)
    assert not cpu.usable(logits, tau)
    soft = Categorical(categories=3)(logits, tau).rsample()
    assert torch.autograd.grad(soft.square().sum(), tau)[0] != 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [*TEMPERATURES, torch.tensor(0.5)], ids=str)
@pytest.mark.parametrize("sample", [(), (2,)], ids=str)
def test_straight_through_is_the_hard_value_of_the_same_draw(sample, temperature, dtype):
    logits = logits_for((6, 3, 10), 2.0, masked=True, dtype=dtype)
    soft, hard = cpu.concrete(logits, temperature, torch.Size(sample), seed(1), hard=True)
    q = Categorical(categories=10)(logits, temperature)
    value = StraightThroughGumbel().sample(q, sample, seed(1))
    assert torch.equal(value, hard)
    assert value.grad_fn.name() == "_ConcreteBackward"  # not a copy with another gradient
    arriving = torch.randn(soft.shape, generator=seed(2), dtype=dtype)
    got, want = (torch.autograd.grad(y, logits, arriving)[0] for y in (value, soft))
    close(got, want, dtype)
    value.mul_(2)  # belongs to the caller, and is not a view of anything
    assert torch.equal(value, 2 * hard)


@pytest.mark.parametrize("temperature", [1.0, 0.1])
@pytest.mark.parametrize("other", [1e8, 1e30, -1e30, torch.finfo(torch.float32).min, torch.nan])
def test_a_row_far_from_the_others_takes_nothing_from_them(other, temperature):
    rows = torch.tensor([[0.0, 3.0, 6.0], [other, 0.0, 0.0]])
    rows = torch.cat([rows, torch.full((1, 3), torch.finfo(torch.float32).min)])
    categorical = Categorical(categories=3)
    found = cpu.concrete(rows, temperature, torch.Size([100]), seed(1), hard=True)
    # The reference implementation adds noise of 1 to logits of -3e38; a constant changes nothing.
    near = rows - rows.amax(-1, keepdim=True)
    wanted = plain(categorical, near, temperature, torch.Size([100]), seed(1))
    for got, want in zip(found, wanted, strict=True):
        torch.testing.assert_close(got, want, equal_nan=True, rtol=1e-4, atol=1e-5)
    entropy = entropy_of(rows)
    assert entropy[1].isnan() == math.isnan(other)
    probs = rows[0].double().softmax(-1)
    assert entropy[0].item() == pytest.approx(-(probs * probs.log()).sum().item())
    assert entropy[2].item() == pytest.approx(math.log(3))


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_no_draws_at_all(temperature):
    logits = logits_for((3, 4), 1.0, masked=True)
    soft, hard = Categorical(categories=4).draw(logits, temperature, torch.Size([0]))
    assert soft.shape == hard.shape == (0, 3, 4)


def test_another_default_device():
    with torch.device("meta"):
        logits = torch.zeros(2000, 10, device="cpu")
        q = Categorical(categories=10)(logits)
        assert q.rsample().device.type == q.sample_hard().device.type == "cpu"
        many = Categorical(categories=200)(torch.zeros(2, 200, device="cpu"))
        assert many.sample_hard().sum() == 2


def test_ties_give_one_vertex(monkeypatch):
    monkeypatch.setattr(noise, "minus_exponential", lambda shape, **_: -torch.ones(shape))
    hard = cpu.concrete(torch.zeros(5, 4), 1.0, torch.Size(), hard=True)[1]
    assert torch.equal(hard, torch.eye(4)[[0] * 5])


@pytest.mark.parametrize("temperature", [1.0, 0.5, torch.full((3, 1), 0.5)], ids=str)
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_a_tie_in_one_row_leaves_the_others_alone(temperature, scale, monkeypatch):
    drawn = torch.tensor([[3.0, 1.0, 1.0, 2.0], [4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    monkeypatch.setattr(noise, "minus_exponential", lambda shape, **_: -drawn)
    logits = torch.zeros(3, 4)
    logits[1, 0] = scale  # near to the others, or far from them
    wanted = (logits - drawn.log()).argmax(-1)
    hard = cpu.concrete(logits, temperature, torch.Size(), hard=True)[1]
    assert torch.equal(hard, torch.eye(4)[wanted])


def test_autocast_changes_nothing():
    logits = logits_for((40, 10), 1.0)
    alone = cpu.concrete(logits, 1.0, torch.Size(), seed(1))[0]
    with torch.autocast("cpu", torch.bfloat16):
        within = cpu.concrete(logits, 1.0, torch.Size(), seed(1))[0]
    torch.testing.assert_close(alone, within)  # sums are formed in another order
