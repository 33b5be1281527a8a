"""One place for shapes: what fits, what is refused, and what the message says."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch

from relaxit.errors import DomainError, ShapeError
from relaxit.shapes import align_temperature, as_size, batch_shape_of, check_temperature_value

BATCHES = [(), (1,), (3,), (2, 3), (3, 3), (2, 1, 3)]
GIVEN = [(1,), (2,), (3,), (1, 3), (2, 1), (2, 3), (3, 1), (1, 1, 1), (2, 3, 1), (4,)]


@pytest.mark.parametrize(("given", "want"), [(3, (3,)), ((), ()), ((2, 1), (2, 1))])
def test_as_size(given, want):
    assert as_size(given) == torch.Size(want)
    assert isinstance(as_size(given), torch.Size)
    assert as_size(torch.Size(as_size(given))) == torch.Size(want)


@pytest.mark.parametrize("trailing", [(), (4,), (2, 4)])
@pytest.mark.parametrize("batch", BATCHES)
def test_batch_shape_of(batch, trailing):
    params = torch.zeros((*batch, *trailing))
    got = batch_shape_of("law", "params", params, torch.Size(trailing))
    assert got == torch.Size(batch)


@pytest.mark.parametrize("shape", [(), (5,), (4, 5), (4, 1), (2, 4, 3)])
def test_wrong_trailing_shape_is_named(shape):
    with pytest.raises(ShapeError) as caught:
        batch_shape_of("owner", "params", torch.zeros(shape), torch.Size([2, 4]))
    text = str(caught.value)
    assert "owner" in text
    assert "params" in text
    assert "[*, 2, 4]" in text
    assert str(list(shape)) in text


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
            align_temperature("law", temperature, batch, rank)
        return
    aligned = align_temperature("law", temperature, batch, rank)
    # 3 is also a batch size: a temperature that met the last dimension would go unnoticed else.
    got = aligned * torch.ones(*batch, *(3,) * rank)
    want = temperature.expand(batch).reshape(*batch, *(1,) * rank).expand(got.shape)
    assert torch.equal(got, want)


def test_scalar_temperature_is_left_alone():
    scalar = torch.tensor(0.5)
    assert align_temperature("law", 0.5, torch.Size([3]), 1) == 0.5
    assert align_temperature("law", scalar, torch.Size([3]), 1) is scalar
