"""Membership of supports and vertex sets, with rounding of the dtype and no more allowed."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import constraints as torch_constraints

from relaxit import constraints
from tests.helpers import DTYPES, seed

NAN, INF = torch.nan, torch.inf


@pytest.mark.parametrize("size", [2, 10, 1000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rounded_softmax_is_on_the_simplex(dtype, size):
    soft = torch.randn(50, size, generator=seed(0)).double().softmax(-1).to(dtype)
    assert bool(constraints.simplex.check(soft).all())


def test_torch_rejects_what_we_allow():
    soft = torch.randn(50, 10, generator=seed(0)).softmax(-1).to(torch.bfloat16)
    assert not bool(torch_constraints.simplex.check(soft).all())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "row", [[0.5, 0.6, 0.0], [1.1, -0.1, 0.0], [0.3, 0.3, 0.3], [NAN, 0.5, 0.5], [INF, 0.0, 0.0]]
)
def test_off_the_simplex(row, dtype):
    assert not bool(constraints.simplex.check(torch.tensor(row, dtype=dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_hot(dtype):
    assert bool(constraints.one_hot.check(torch.eye(4, dtype=dtype)).all())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "row", [[0, 0, 0], [1, 1, 0], [0.5, 0.5, 0], [2, -1, 0], [0.9, 0, 0], [NAN, 1, 0]]
)
def test_not_one_hot(row, dtype):
    assert not bool(constraints.one_hot.check(torch.tensor(row, dtype=dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_interval_and_its_ends(dtype):
    x = torch.tensor([0.0, 0.25, 1.0, -0.01, 1.1, NAN, INF], dtype=dtype)
    assert constraints.unit_interval.check(x).tolist() == [True] * 3 + [False] * 4
    above = torch.tensor(1.0, dtype=dtype) + torch.finfo(dtype).eps  # as a sum may be rounded
    assert bool(constraints.unit_interval.check(above))
    assert constraints.boolean.check(x).tolist() == [True, False, True] + [False] * 4


@pytest.mark.parametrize("name", ["simplex", "one_hot", "unit_interval", "boolean"])
def test_check_drops_the_event_dimensions_only(name):
    constraint = getattr(constraints, name)
    checked = constraint.check(torch.zeros(2, 3, 4))
    assert checked.shape == torch.Size([2, 3, 4])[: 3 - constraint.event_dim]
    assert checked.dtype == torch.bool


def test_vertex_sets_are_discrete():
    assert constraints.one_hot.is_discrete
    assert constraints.boolean.is_discrete
    assert not constraints.simplex.is_discrete
    assert not constraints.unit_interval.is_discrete


@pytest.mark.parametrize("dtype", DTYPES)
def test_tolerance_grows_with_the_terms(dtype):
    x = torch.zeros(1, dtype=dtype)
    assert constraints.tolerance(x, 10_000) == max(1e-6, 100 * torch.finfo(dtype).eps)
    assert constraints.tolerance(x) == max(1e-6, 4 * torch.finfo(dtype).eps)
