"""Sinkhorn's operator for wide matrices, and for other sums than ones."""

from __future__ import annotations

import pytest
import torch
from permutation_helpers import close, dtypes, gumbel, normal, padded, scores, sums_off, unrolled
from sinkhorn_certificates import AIM, certified

from relaxit_permutation.sinkhorn.implicit import scaled
from relaxit_permutation.sinkhorn.operator import sinkhorn

pytestmark = pytest.mark.usefixtures("no_warnings")


@pytest.mark.parametrize(("m", "n"), [(1, 2), (1, 5), (2, 3), (3, 6), (4, 5)])
def test_wide_equals_square_with_rows_of_zeros(m, n):
    x = torch.cat([scores(k, 2, m, n) for k in ("zero", "gumbel", "ties", "rank one")])
    for temperature in (0.3, 1.0, 10.0):
        got = sinkhorn(x, temperature)
        want = unrolled(padded(x / temperature), 6000)
        there = sums_off(want) < 1e-9  # the oracle has converged
        assert float(there.double().mean()) > 0.7
        close(got[there], want[there][:, :m], 1e-8)
        close(sinkhorn(padded(x), temperature)[:, :m], got, 1e-8)


@dtypes
@pytest.mark.parametrize(("m", "n"), [(1, 7), (2, 3), (9, 10), (10, 40), (50, 100), (31, 32)])
def test_wide_sums(m, n, dtype):
    for kind in ("gumbel", "learned", "rank one", "sparse", "distances"):
        for temperature in (0.02, 0.1, 1.0, 10.0):
            p = sinkhorn(scores(kind, 2, m, n).to(dtype), temperature)
            assert bool(p.isfinite().all())
            assert bool((p >= 0).all())
            assert float(sums_off(p).max()) < AIM[dtype], (kind, temperature)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_one_row_is_a_softmax_under_a_lid(temperature):
    # One row and slack of n - 1: p_j and 1 - p_j have the odds of the scores up to a constant.
    x = gumbel(5, 1, 4)
    p = sinkhorn(x, temperature)
    shift = p.log() - torch.log1p(-p) - x / temperature
    near = p.amax(-1, keepdim=True) < 1 - 1e-6
    gap = (shift - shift.amax(-1, keepdim=True)).abs()
    assert float(torch.where(near, gap, 0.0).max()) < 1e-6
    close(p.sum(-1), torch.ones(5, 1), 1e-12)


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_other_sums(scale):
    x = scale * normal(3, 4, 6)
    rows = normal(3, 4, number=1).exp()
    columns = normal(3, 6, number=2).exp()
    columns = columns * (rows.sum(-1) / columns.sum(-1)).unsqueeze(-1)
    want = unrolled(x, 5000, rows, columns)
    for iterations in (200, 1):
        p, v, error = scaled(x, rows, columns, iterations)
        close(p, want, 1e-9)
        close(p.sum(-1), rows, 1e-10)
        close(p.sum(-2), columns, 1e-10)
        certified(x, p, v, rows, 1e-9)
        assert float(error.max()) < 1e-10
        assert v.shape == (3, 6)
        assert error.shape == (3,)
