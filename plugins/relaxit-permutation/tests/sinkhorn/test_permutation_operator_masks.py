"""Sinkhorn's operator where entries are masked, or nearly."""

from __future__ import annotations

import warnings

import pytest
import torch
from permutation_helpers import INF, close, dtypes, gumbel, padded, sums_off, unrolled
from sinkhorn_certificates import AIM

from relaxit_permutation.sinkhorn.operator import sinkhorn

pytestmark = pytest.mark.usefixtures("no_warnings")


def diagonal_kept(x, gone):
    """Scores with what is gone masked, but for the diagonal."""
    return x.masked_fill(gone & ~torch.eye(x.shape[-1], dtype=torch.bool), -INF)


@dtypes
@pytest.mark.parametrize("n", [2, 3, 5, 10, 32])
def test_masked_entries_are_zero(n, dtype):
    x, i = gumbel(4, n, n), torch.arange(n)
    band = (i[:, None] - i).abs() > 1
    ring = ((i[:, None] - i) % n > 1) & band
    for gone in (band, ring, (i[:, None] // 2) != (i // 2)):  # each has total support
        masked = diagonal_kept(x, gone).to(dtype)
        there = masked != -INF
        for temperature in (0.02, 0.3, 1.0, 10.0):
            p = sinkhorn(masked, temperature)
            assert not bool(p[~there].any())
            assert float(sums_off(p).max()) < AIM[dtype], temperature
        assert bool((p[there] > 0).all())
    only = diagonal_kept(x, torch.ones(n, n, dtype=torch.bool)).to(dtype)
    assert torch.equal(sinkhorn(only, 0.1), torch.eye(n, dtype=dtype).expand(4, n, n))


@pytest.mark.parametrize("n", [3, 6])
def test_masked_equals_the_unrolled_form(n):
    i = torch.arange(n)
    x = diagonal_kept(gumbel(4, n, n), (i[:, None] - i).abs() > 1)
    close(sinkhorn(x, 0.5), unrolled(x / 0.5, 3000), 1e-9)
    wide = gumbel(4, n - 1, n)
    wide[:, :, 0] = -INF
    wide[:, 0, 2] = -INF
    got = sinkhorn(wide, 0.5)
    assert not bool(got[:, :, 0].any())
    close(got, unrolled(padded(wide / 0.5), 20000)[:, : n - 1], 1e-4)


@dtypes
@pytest.mark.parametrize("n", [2, 3, 5, 10, 32, 100])
@pytest.mark.parametrize("temperature", [0.02, 1.0])
def test_without_total_support_it_converges_or_warns(n, temperature, dtype):
    # Upper triangular: only the identity is left, which no finite potentials reach.
    x = (gumbel(2, n, n) / temperature).to(dtype)
    x = x.masked_fill(torch.ones(n, n).tril(-1).bool(), -INF)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        p = sinkhorn(x)
    assert bool(p.isfinite().all())
    assert not bool(p.tril(-1).any())
    off = float(sums_off(p).max())
    assert bool(told) == (off > 1e-4)
    if told:
        assert told[0].message.residual == pytest.approx(off, rel=1e-3)
    else:
        close(p, torch.eye(n).expand(2, n, n), 1e-3)
    if n <= 5:
        assert not told


@pytest.mark.parametrize("gap", [5.0, 20.0, 40.0])
@dtypes
def test_nearly_infeasible(gap, dtype):
    # A background in place of the mask: total support, but only just.
    x = gumbel(3, 6, 6).masked_fill(torch.ones(6, 6).tril(-1).bool(), -gap)
    p = sinkhorn(x.to(dtype))
    assert float(sums_off(p).max()) < AIM[dtype]
    close(p.double(), sinkhorn(x), 1e-4)
