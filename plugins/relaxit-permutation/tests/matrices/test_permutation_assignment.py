"""The best matching against trying all of them, and whether there is one."""

from __future__ import annotations

import math

import pytest
import torch
from permutation_helpers import INF, best, close, gumbel, listed, normal, totals

from relaxit import DomainError
from relaxit_permutation.matrices import polytope
from relaxit_permutation.matrices.assignment import assign, matchable

SHAPES = [(1, 1), (1, 4), (2, 2), (2, 3), (3, 3), (3, 5), (4, 4), (5, 5), (5, 6)]


@pytest.mark.parametrize(("m", "n"), SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_brute_force(m, n, dtype):
    x = torch.cat([gumbel(20, m, n), 1e4 * normal(20, m, n), gumbel(20, m, n) - 1e6]).to(dtype)
    found = assign(x)
    assert found.dtype == dtype
    assert bool(polytope.matching.check(found).all())
    # Of float32 numbers near 1e6 two matchings may have the same sum.
    close((found.double() * x).sum((-1, -2)), totals(x).amax(-1), 1e-8)
    assert torch.equal(found[:20].double(), best(x[:20]))


@pytest.mark.parametrize(("m", "n"), SHAPES)
def test_ties_give_a_matching_that_is_among_the_best(m, n):
    x = torch.randint(0, 2, (30, m, n)).double()
    found = assign(x)
    assert bool(polytope.matching.check(found).all())
    assert torch.equal((found * x).sum((-1, -2)), totals(x).amax(-1))
    assert bool(polytope.matching.check(assign(torch.zeros(2, m, n))).all())


@pytest.mark.parametrize("batch", [(), (0,), (2, 0), (1,), (2, 3)], ids=str)
def test_shapes(batch):
    x = normal(*batch, 2, 3)
    found = assign(x)
    assert found.shape == x.shape
    assert torch.equal(found.reshape(-1, 2, 3), best(x).reshape(-1, 2, 3))
    assert matchable(x > 0).shape == batch


def test_strides():
    x = gumbel(4, 4, 6).permute(2, 0, 1)
    found = assign(x)
    assert torch.equal(found, best(x))
    assert found.is_contiguous()
    assert torch.equal(assign(x.mT), found.mT)


def test_half_precision():
    x = gumbel(10, 4, 4).to(torch.bfloat16)
    assert assign(x).dtype == torch.bfloat16
    assert torch.equal((assign(x).double() * x).sum((-1, -2)), totals(x).amax(-1))


def test_vmap():
    x = gumbel(3, 4, 5, 5)
    assert torch.equal(torch.vmap(assign)(x), assign(x))
    assert torch.equal(torch.vmap(assign, 1, 1)(x), assign(x))
    assert torch.equal(torch.vmap(torch.vmap(assign))(x), assign(x))
    assert torch.equal(torch.vmap(matchable, 1, 1)(x > 0), matchable(x > 0))


def test_masked_entries_are_not_chosen():
    x = gumbel(50, 4, 4)
    x = x.masked_fill((gumbel(50, 4, 4, number=1) > 1) & (torch.eye(4) == 0), -INF)
    found = assign(x)
    assert not bool(found[x == -INF].any())
    assert torch.equal(found, best(x.clamp_min(-1e6)))


@pytest.mark.parametrize("bad", [math.nan, INF])
def test_bad_scores(bad):
    x = torch.zeros(2, 3, 3)
    x[1, 0, 2] = bad
    with pytest.raises(DomainError, match="no best matching"):
        assign(x)


def test_nothing_left():
    x = torch.zeros(3, 3)
    x[:2, 1:] = -INF  # two rows want the same column
    with pytest.raises(DomainError, match="no best matching"):
        assign(x)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 3), (2, 2), (2, 4), (3, 3), (4, 4), (3, 5)])
def test_matchable_equals_brute_force(m, n):
    for share in (0.3, 0.6, 0.9):
        allowed = torch.rand(60, m, n) < share
        masked = torch.where(allowed, 0.0, -INF).double()
        options = listed(m, n)
        worst = torch.where(options[None] == 1, masked.unsqueeze(-3), 0.0).sum((-1, -2))
        assert torch.equal(matchable(allowed), (worst == 0).any(-1))
    assert bool(matchable(torch.ones(2, m, n, dtype=torch.bool)).all())
    assert not bool(matchable(torch.zeros(2, m, n, dtype=torch.bool)).any())
