"""Shapes: what fits, what is rejected, and what the message says."""

from __future__ import annotations

import pytest
import torch

from relaxit.errors import ShapeError
from relaxit.shapes import as_size, batch_shape_of

BATCHES = [(), (1,), (3,), (2, 3), (3, 3), (2, 1, 3)]


@pytest.mark.parametrize(("given", "want"), [(3, (3,)), ((), ()), ((2, 1), (2, 1))])
def test_as_size(given, want):
    assert as_size(given) == torch.Size(want)
    assert isinstance(as_size(given), torch.Size)
    assert as_size(torch.Size(as_size(given))) == torch.Size(want)


@pytest.mark.parametrize("trailing", [(), (4,), (2, 4)])
@pytest.mark.parametrize("batch", BATCHES)
def test_batch_shape_of(batch, trailing):
    params = torch.zeros((*batch, *trailing))
    got = batch_shape_of("owner", "params", params, torch.Size(trailing))
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
