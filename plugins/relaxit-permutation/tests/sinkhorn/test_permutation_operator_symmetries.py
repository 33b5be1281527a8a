"""Sinkhorn's operator: neighbours in a batch, shapes, symmetries and limits."""

from __future__ import annotations

import warnings

import pytest
import torch
from permutation_helpers import (
    INF,
    attractive,
    close,
    dtypes,
    gumbel,
    normal,
    scores,
    sums_off,
    uneven,
)
from sinkhorn_certificates import AIM

from relaxit_permutation.matrices.assignment import assign
from relaxit_permutation.sinkhorn.operator import residual, sinkhorn

pytestmark = pytest.mark.usefixtures("no_warnings")


@dtypes
@pytest.mark.parametrize("n", [5, 32])
def test_a_matrix_does_not_depend_on_its_neighbours(n, dtype):
    easy = torch.cat([scores(k, 1, n, n) for k in ("gumbel", "blocks", "ties", "learned")]) / 0.1
    nasty = torch.cat(
        [
            *(uneven(1, n, gap) / 0.1 for gap in (5.0, 10.0)),
            attractive(1, n) / 0.02,
            scores("extreme", 1, n, n) / 0.02,
            1e8 * normal(1, n, n),
            torch.zeros(1, n, n),
        ]
    )
    alone = torch.cat([sinkhorn(each.to(dtype)) for each in easy.unsqueeze(1)])
    for each in nasty.unsqueeze(1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the neighbour
            both = sinkhorn(torch.cat([easy, each]).to(dtype))
        close(both[:-1], alone, 1e-4 if dtype == torch.float32 else 1e-8)
        assert float(sums_off(both[:-1]).max()) < AIM[dtype]


@dtypes
def test_nor_on_one_that_does_not_converge(dtype):
    # Newton's method must not give up for all where it gets nowhere with one.
    easy = scores("sparse", 3, 100, 100).to(dtype) / 0.02
    stuck = gumbel(1, 100, 100) / 0.02
    stuck = stuck.masked_fill(torch.ones(100, 100).tril(-2).bool(), -INF).to(dtype)
    sinkhorn(easy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the neighbour
        both = sinkhorn(torch.cat([easy, stuck]))
    assert float(sums_off(both[:-1]).max()) < 1e-4


@dtypes
@pytest.mark.parametrize("batch", [(), (1,), (3,), (2, 3), (0,), (2, 0), (1, 2, 1)], ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 4), (21, 21)], ids=str)
def test_shapes(batch, shape, dtype):
    x = normal(*batch, *shape, dtype=dtype)
    p = sinkhorn(x, 0.3)
    assert p.shape == x.shape
    assert p.dtype == dtype
    rows = x.reshape(-1, *shape)
    if len(rows):
        close(p.reshape(-1, *shape), torch.stack([sinkhorn(row, 0.3) for row in rows]), 1e-5)
        assert float(residual(p).max()) < 1e-4
    assert residual(p).shape == x.shape[:-2]


def test_strides_do_not_matter():
    x = gumbel(5, 5, 6).permute(2, 0, 1)
    assert not x.is_contiguous()
    close(sinkhorn(x, 0.2), sinkhorn(x.contiguous(), 0.2), 1e-14)
    close(sinkhorn(x.mT, 0.2), sinkhorn(x, 0.2).mT, 1e-10)
    close(sinkhorn(x[:1].expand(3, 5, 5), 0.2), sinkhorn(x[:1], 0.2).expand(3, 5, 5), 1e-14)


def test_scores_are_left_as_they_were():
    x = gumbel(2, 4, 4) / 0.02
    before = x.clone()
    sinkhorn(x)
    assert torch.equal(x, before)


@dtypes
def test_a_temperature_for_each_matrix(dtype):
    x = gumbel(4, 6, 6).to(dtype)
    temperature = torch.tensor([0.05, 0.3, 1.0, 8.0]).view(-1, 1, 1)
    together = sinkhorn(x, temperature)
    for one, scale, got in zip(x, temperature.flatten(), together, strict=True):
        close(got, sinkhorn(one, float(scale)), 3e-5 if dtype == torch.float32 else 1e-9)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_symmetries(temperature):
    x = gumbel(3, 7, 7)
    p = sinkhorn(x, temperature)
    close(sinkhorn(x.mT, temperature), p.mT, 1e-10)
    shifted = x + 50 * normal(3, 7, 1) + 50 * normal(3, 1, 7, number=8)
    close(sinkhorn(shifted, temperature), p, 1e-10)
    order = torch.randperm(7)
    close(sinkhorn(x[:, order], temperature), p[:, order], 1e-10)
    close(sinkhorn(x[..., order], temperature), p[..., order], 1e-10)


def test_limits():
    x = gumbel(20, 5, 5)
    close(sinkhorn(x, 1e6), torch.full((20, 5, 5), 0.2), 1e-5)
    close(sinkhorn(scores("rank one", 2, 5, 5), 0.1), torch.full((2, 5, 5), 0.2), 1e-7)
    cold = (sinkhorn(x, 1e-3) - assign(x)).abs().amax((-1, -2)) < 1e-6
    assert float(cold.double().mean()) > 0.8
    close(sinkhorn(torch.full((2, 3, 3), 1e4), 0.01), torch.full((2, 3, 3), 1 / 3), 1e-6)
