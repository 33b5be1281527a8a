"""Noise of a shape of its own: some scores share a number, or have none."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import constraints as torch_constraints

import relaxit
from relaxit import PerturbAndRelax, Unsupported
from tests.helpers import seed
from tests.toy_relaxations import BARE, Rows


class Grid(PerturbAndRelax):
    """One cell of a grid, whose row gets noise."""

    api, name = 1, "test-grid"
    capabilities = BARE
    event_shape = param_shape = torch.Size([3, 2])
    noise_shape = torch.Size([3])
    support = torch_constraints.independent(torch_constraints.unit_interval, 2)
    vertices = torch_constraints.independent(torch_constraints.boolean, 2)

    def relax(self, scores, temperature):
        return (scores / temperature).flatten(-2).softmax(-1).unflatten(-1, (3, 2))

    def argmax(self, scores):
        best = scores.flatten(-2).argmax(-1, keepdim=True)
        return (torch.arange(6) == best).to(scores.dtype).unflatten(-1, (3, 2))

    def add_noise(self, params, noise):
        return params + noise.unsqueeze(-1)


GRID = Grid()


@pytest.mark.parametrize("batch", [(), (4,), (2, 4)])
@pytest.mark.parametrize("shape", [(), (5,)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_perturbed_scores(batch, shape, dtype):
    params = torch.randn(*batch, 3, 2, generator=seed(1)).to(dtype)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    noise = relaxit.noise.gumbel((*shape, *batch, 3), dtype=wide, generator=seed(2))
    scores = GRID.perturb(params, torch.Size(shape), seed(2))
    assert scores.dtype == wide
    assert torch.equal(scores, params.to(wide) + noise.unsqueeze(-1))
    soft, hard = GRID(params, 0.5).draw(shape, generator=seed(2))
    assert torch.equal(soft, GRID.relax(scores, 0.5).to(dtype))
    assert torch.equal(hard, GRID.argmax(scores).to(dtype))


def test_noised_is_rejected_where_scores_have_no_noise_of_their_own():
    with pytest.raises(Unsupported) as error:
        GRID.noised(torch.zeros(3, 2))
    assert str(error.value).startswith("test-grid: some params of ")
    assert "get no noise" in str(error.value)
    assert "\n" not in str(error.value)


def test_by_default_each_score_has_its_noise():
    rows, params = Rows(), torch.randn(4, 2, 3, generator=seed(1))
    assert rows.noise_shape == rows.param_shape
    assert torch.equal(rows.noised(params), params)
    noise = torch.randn(4, 2, 3, generator=seed(2))
    assert torch.equal(rows.add_noise(params, noise), params + noise)
    drawn = relaxit.noise.gumbel((5, 4, 2, 3), dtype=torch.float32, generator=seed(3))
    assert torch.equal(rows.perturb(params, torch.Size((5,)), seed(3)), params + drawn)


def test_common_sums():
    """Of values that are their own statistics, and have the shape of params."""
    assert Rows(rows=2).common_sum() == 2
    assert GRID.common_sum() == 1

    class Shared(Grid):
        name = "test-shared"

        def statistics(self, value):
            return value

    assert Shared().common_sum() is None
