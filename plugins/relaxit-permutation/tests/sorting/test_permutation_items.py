"""Which entries of a list are items, and the values that pads get."""

from __future__ import annotations

import pytest
import torch
from permutation_helpers import INF, close, dtypes, normal, seed

from relaxit_permutation.sorting.items import items_of, put_last, scores_of


@dtypes
@pytest.mark.parametrize("temperature", [1e-30, 1e-3, 1.0, 1e30])
@pytest.mark.parametrize("scale", [0.0, 1e-10, 1.0, 1e10, 1e30])
def test_pads_are_behind_and_apart(dtype, temperature, scale):
    x = (scale * normal(4, 50)).to(dtype).masked_fill(torch.rand(4, 50, generator=seed(2)) < 0.3, 0)
    pads = torch.rand(4, 50, generator=seed(3)) < 0.4
    found = put_last(x, pads, temperature)
    assert torch.equal(found[~pads], x[~pads])
    for row, where in zip(found, pads, strict=True):
        falling = torch.cat([row[~where].amin().view(1), row[where]])
        gaps = (falling[:-1] - falling[1:]).double()
        assert bool((gaps >= 760 * temperature).all())  # exp(-746) is 0 in float64
    assert bool(found.isfinite().all())


def test_scores_without_pads_stay_as_they_are():
    x = normal(3, 4)
    same = scores_of(x)
    assert same.values is x
    assert same.pads is None
    with_pad = x.clone()
    with_pad[1, 2] = -INF
    values, pads = scores_of(with_pad)
    assert pads is not None
    assert pads.nonzero().tolist() == [[1, 2]]
    assert bool(values.isfinite().all())
    # Under vmap nothing is known of the numbers.
    mapped = torch.func.vmap(lambda row: scores_of(row).values)(with_pad)
    close(mapped, values, 0)


def test_items():
    x = normal(2, 3, 4)
    assert items_of("f", x).values is x
    values, pads = items_of("f", x, 1, torch.tensor([[True], [False], [True]]))
    assert values.shape == (2, 4, 3)
    assert pads is not None
    assert bool((pads == torch.tensor([False, True, False])).all())
    assert not values[..., 1].any()
    found = items_of("f", x, 1, torch.tensor([[True], [False], [True]])).beyond(3)
    assert bool((found == torch.tensor([False, False, True])).all())
