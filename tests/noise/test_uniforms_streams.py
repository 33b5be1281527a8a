"""Streams: under ``vmap`` each row draws from a generator of its own."""

from __future__ import annotations

import pytest
import torch

from relaxit import noise
from tests.helpers import seed


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("distribution", ["uniform", "gumbel", "logistic"])
@pytest.mark.parametrize("shape", [(), (5,), (0,), (2, 3)])
def test_each_row_draws_from_its_own_generator(distribution, dtype, shape):
    draw, size = getattr(noise, distribution), torch.Size(shape)
    generators = [seed(10), seed(11), seed(12)]

    def twice(index):
        source = noise.Streams(generators, index)
        return torch.stack([draw(size, dtype=dtype, generator=source) for _ in range(2)])

    together = torch.func.vmap(twice)(torch.arange(3))
    assert together.dtype == dtype
    for number, own in enumerate((seed(10), seed(11), seed(12))):
        for turn in (0, 1):
            assert torch.equal(together[number, turn], draw(size, dtype=dtype, generator=own))


def test_streams_nest_and_stand_inside_a_gradient():
    generators = [seed(n) for n in range(6)]

    def cost(weight, index):
        drawn = noise.uniform(torch.Size([4]), generator=noise.Streams(generators, index))
        return (weight * drawn).sum()

    index, weight = torch.arange(6).reshape(2, 3), torch.ones(2, 3, 4)
    gradient = torch.func.vmap(torch.func.vmap(torch.func.grad(cost)))(weight, index)
    for number in range(6):
        alone = noise.uniform(torch.Size([4]), generator=seed(number))
        assert torch.equal(gradient.reshape(6, 4)[number], alone)


def test_streams_outside_vmap_are_one_generator():
    source = noise.Streams([seed(1), seed(2)], torch.tensor(1))
    assert torch.equal(noise.uniform(torch.Size([3]), generator=source),
                       noise.uniform(torch.Size([3]), generator=seed(2)))  # fmt: skip
