"""What a log-partition function gives beside the distribution: relaxed, best and nearest values."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import relaxit
from relaxit import DomainError, ShapeError, Unsupported
from tests.helpers import seed
from tests.sum_product.structures import (
    STRUCTURES,
    Bits,
    mean_by_enumeration,
    params_for,
    scores_of,
    statistics_of,
    values_of,
)

ALL = pytest.mark.parametrize("relaxation", STRUCTURES, ids=repr)
MASKED = pytest.mark.parametrize("masked", [False, True])


@ALL
@MASKED
@pytest.mark.parametrize("temperature", [0.05, 1.0, 30.0])
def test_relax_is_the_mean_at_scores_over_the_temperature(relaxation, masked, temperature):
    scores = params_for(relaxation, 3, masked=masked)
    wanted = mean_by_enumeration(relaxation, scores / temperature)
    got = relaxation.relax(scores, temperature)
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


@ALL
def test_derivatives_of_relax(relaxation):
    scores = params_for(relaxation, 2).requires_grad_()
    assert gradcheck(lambda x: relaxation.relax(x, 0.7), scores)
    assert gradgradcheck(lambda x: relaxation.relax(x, 0.7), scores)


@ALL
@MASKED
@pytest.mark.parametrize("scale", [0.1, 60.0])
def test_argmax(relaxation, masked, scale):
    scores = params_for(relaxation, 5, masked=masked, scale=scale)
    wanted = values_of(relaxation)[scores_of(relaxation, scores).argmax(-1)]
    assert torch.equal(relaxation.argmax(scores), wanted)
    assert not relaxation.argmax(scores.requires_grad_()).requires_grad


@ALL
def test_the_best_value_of_a_tie_is_a_value(relaxation):
    best = relaxation.argmax(torch.zeros(3, *relaxation.param_shape))
    assert bool(relaxation.vertices.check(best).all())


@ALL
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_hard_is_the_nearest_value(relaxation, dtype):
    values, rank = values_of(relaxation), len(relaxation.event_shape)
    soft = torch.rand(50, *relaxation.event_shape, generator=seed(3)).to(dtype)
    hard = relaxation.hard(soft)
    assert hard.dtype == dtype
    gaps = (soft.double().unsqueeze(1) - values).square()
    distances = gaps.flatten(-rank).sum(-1) if rank else gaps
    nearest = distances.gather(-1, index_of(hard.double(), values, rank).unsqueeze(-1))
    torch.testing.assert_close(nearest, distances.amin(-1, keepdim=True))


def index_of(found, values, rank):
    same = found.unsqueeze(1) == values
    same = same.flatten(-rank).all(-1) if rank else same
    assert bool((same.sum(-1) == 1).all())
    return same.double().argmax(-1)


@ALL
def test_constraints(relaxation):
    values = values_of(relaxation)
    assert bool(relaxation.vertices.check(values).all())
    assert bool(relaxation.support.check(values.mean(0)))
    assert bool(
        relaxation.support.check(relaxation(params_for(relaxation, 9), 2.0).rsample()).all()
    )
    assert not bool(relaxation.vertices.check(values.mean(0)))
    assert not bool(relaxation.support.check(values + 1.1).any())
    assert relaxation.support.event_dim == relaxation.vertices.event_dim == values.dim() - 1


@ALL
def test_draws(relaxation):
    params = params_for(relaxation, 2, dtype=torch.float32)
    soft, hard = relaxation(params, 0.5).draw((7,), generator=seed(4))
    scores = relaxation.perturb(params, torch.Size((7,)), seed(4))
    assert torch.equal(soft, relaxation.relax(scores, 0.5).float())
    assert torch.equal(hard, relaxation.argmax(scores).float())
    assert soft.shape == hard.shape == (7, 2, *relaxation.event_shape)


def test_statistics_of_parts():
    bits = Bits()
    assert torch.equal(bits.statistics(values_of(bits)), statistics_of(bits))
    assert torch.equal(bits.from_statistics(statistics_of(bits)), values_of(bits))


# --- bad input ----------------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_illegal_params(relaxation, bad):
    params = params_for(relaxation, 3)
    params[1].view(-1)[-1] = bad
    assert relaxation.valid_params(params).tolist() == [True, False, True]
    with pytest.raises(DomainError) as error:
        relaxation(params)
    assert relaxation.name in str(error.value)
    assert "NaN, +inf, or masks that leave no value" in str(error.value)
    assert "\n" not in str(error.value)


@ALL
def test_masks_are_legal_if_a_value_is_left(relaxation):
    params = params_for(relaxation, 200)
    params = params.masked_fill(torch.rand(params.shape, generator=seed(5)) < 0.7, -torch.inf)
    legal = scores_of(relaxation, params).logsumexp(-1) > -torch.inf
    assert torch.equal(relaxation.valid_params(params), legal)


def test_wrong_shapes():
    bits = Bits()
    with pytest.raises(ShapeError, match="test-bits"):
        bits(torch.zeros(3, 4))
    with pytest.raises(ShapeError, match="test-bits"):
        bits.discrete(torch.zeros(5)).log_prob(torch.zeros(5))


def test_a_structure_of_other_shapes_must_say_its_statistics():
    class Silent(relaxit.SumProduct):
        api, name = 1, "test-silent"
        param_shape, event_shape = torch.Size([2]), torch.Size([3])

        def log_partition(self, scores, plus):
            return plus(scores, -1)

    silent = Silent()
    for attempt in (
        lambda: silent.discrete(torch.zeros(2)).mean,
        lambda: silent.relax(torch.zeros(2), 1.0),
        lambda: silent.argmax(torch.zeros(2)),
        lambda: silent.hard(torch.zeros(3)),
    ):
        with pytest.raises(Unsupported, match="test-silent has no from_statistics"):
            attempt()
