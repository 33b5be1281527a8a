"""Temperatures: which are valid, how they meet the batch, and gradients under masks."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch

import relaxit
from relaxit.errors import DomainError, ShapeError
from relaxit.temperature import (
    align_temperature,
    check_temperature_value,
    divide_by_temperature,
)

BATCHES = [(), (1,), (3,), (2, 3), (3, 3), (2, 1, 3)]
GIVEN = [(1,), (2,), (3,), (1, 3), (2, 1), (2, 3), (3, 1), (1, 1, 1), (2, 3, 1), (4,)]


def test_equals_division_and_keeps_infinities():
    scores = torch.tensor([1.0, -torch.inf, 3.0, torch.inf])
    tau = torch.tensor(0.5, requires_grad=True)
    assert torch.equal(divide_by_temperature(scores, tau), scores / 0.5)
    assert torch.equal(divide_by_temperature(scores, 0.5), scores / 0.5)
    divide_by_temperature(scores, tau)[[0, 2]].sum().backward()
    assert tau.grad.item() == pytest.approx(-4 / 0.25)


def test_masked_scores_under_a_transform():
    scores = torch.tensor([1.0, -torch.inf, 0.0])
    slope = torch.func.grad(lambda tau: divide_by_temperature(scores, tau).softmax(-1)[0])(
        torch.tensor(0.5)
    )
    assert bool(slope.isfinite())
    assert float(slope) != 0


@pytest.mark.parametrize("kind", ["rsample", "log_space", "straight-through", "st-gumbel"])
@pytest.mark.parametrize("name", ["categorical", "binary"])
@pytest.mark.parametrize("functional", [False, True])
def test_gradient_in_the_temperature_under_masks(name, kind, functional):
    options = {"categories": 3} if name == "categorical" else {}
    relaxation = relaxit.get(name, **options)
    params = torch.tensor([[0.3, -torch.inf, 1.0], [0.0, 0.5, -torch.inf]])

    def loss(tau):
        q = relaxation(params, tau)
        generator = torch.Generator().manual_seed(0)
        if kind == "rsample":
            value = q.rsample((), generator)
        elif kind == "log_space":
            value = relaxation.from_log_space(q.log_space.rsample((), generator=generator))
        else:
            value = relaxit.estimator(kind).sample(q, generator=generator)
        return (value * torch.tensor([1.0, 2.0, 4.0])).sum()

    tau = torch.tensor(0.7, requires_grad=True)
    if functional:
        grad = torch.func.grad(loss)(tau.detach())
    else:
        (grad,) = torch.autograd.grad(loss(tau), tau)
    assert grad.isfinite()
    assert grad != 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("estimator", ["pathwise", "straight-through", "st-gumbel"])
@pytest.mark.parametrize("size", [100.0, 1e4])
@pytest.mark.parametrize("tau", [1e-3, 1.0, 1e3])
def test_estimators_give_no_nan_at_the_extremes(dtype, estimator, size, tau):
    for name, options in (("categorical", {"categories": 3}), ("binary", {})):
        params = torch.tensor([0.0, size, -size], dtype=dtype, requires_grad=True)
        q = relaxit.get(name, **options)(params, tau)
        relaxit.estimator(estimator).sample(q, (50,)).sum(0).square().sum().backward()
        assert not params.grad.isnan().any(), name  # a float16 sum may overflow to inf


@pytest.mark.parametrize("good", [1e-300, 0.5, 1, 7, 1e300])
def test_good_temperature_value(good):
    check_temperature_value(good)


@pytest.mark.parametrize("bad", [0, 0.0, -0.0, -1, math.nan, math.inf, -math.inf])
def test_bad_temperature_value(bad):
    with pytest.raises(DomainError, match="temperature"):
        check_temperature_value(bad)


def broadcasts_within(given, batch):
    try:
        return torch.broadcast_shapes(given, batch) == torch.Size(batch)
    except RuntimeError:
        return False


@pytest.mark.parametrize("rank", [0, 1, 2])
@pytest.mark.parametrize(("batch", "given"), list(product(BATCHES, GIVEN)))
def test_tensor_temperature_meets_the_batch(batch, given, rank):
    # Oracle: torch's broadcasting of the temperature with a tensor of the batch shape.
    batch = torch.Size(batch)
    temperature = torch.rand(given)
    if not broadcasts_within(given, batch):
        with pytest.raises(ShapeError, match="does not broadcast"):
            align_temperature("owner", temperature, batch, rank)
        return
    aligned = align_temperature("owner", temperature, batch, rank)
    # 3 is also a batch size: a temperature that met the last dimension would go unnoticed else.
    got = aligned * torch.ones(*batch, *(3,) * rank)
    want = temperature.expand(batch).reshape(*batch, *(1,) * rank).expand(got.shape)
    assert torch.equal(got, want)


def test_scalar_temperature_is_left_alone():
    scalar = torch.tensor(0.5)
    assert align_temperature("owner", 0.5, torch.Size([3]), 1) == 0.5
    assert align_temperature("owner", scalar, torch.Size([3]), 1) is scalar
