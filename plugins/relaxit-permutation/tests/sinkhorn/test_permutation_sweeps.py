"""Sweeps, their number and their layout, against Newton's method and the unrolled form."""

from __future__ import annotations

import pytest
import torch
from permutation_helpers import INF, close, dtypes, gumbel, normal, scores, sums_off, unrolled
from sinkhorn_certificates import AIM

from relaxit_permutation.sinkhorn import sweeps
from relaxit_permutation.sinkhorn.operator import sinkhorn

pytestmark = pytest.mark.usefixtures("no_warnings")


def topped(x):
    """Where the sweeps begin: the greatest entry of every row and of every column is 0."""
    x = x - x.amax(-1, keepdim=True)
    return x - x.amax(-2, keepdim=True)


@pytest.mark.parametrize("n", [3, 6, 20, 32])  # in both layouts of the sweeps
@dtypes
def test_sweeps_equal_newton(n, dtype):
    x = torch.cat([scores(kind, 2, n, n) for kind in ("gumbel", "rank one", "ties", "duplicates")])
    one = sinkhorn(x.to(dtype), iterations=5000, newton=0, tolerance=1e-4)
    other = sinkhorn(x.to(dtype), iterations=1, newton=60)
    close(one, other, 1e-5 if dtype == torch.float32 else 1e-10)
    assert float(sums_off(one).max()) < AIM[dtype]


@pytest.mark.parametrize("iterations", [1, 7, 10, 11, 25])
@pytest.mark.parametrize("n", [4, 25])
def test_so_many_sweeps_are_made(n, iterations):
    x = gumbel(3, n, n) / 0.3
    got = sinkhorn(x, iterations=iterations, newton=0, tolerance=INF)
    close(got, unrolled(topped(x), iterations), 1e-12)
    close(got.sum(-2), torch.ones(3, n), 1e-12)  # columns come last


@pytest.mark.parametrize("temperature", [0.02, 0.05])
@dtypes
def test_sweeps_alone_at_low_temperature(temperature, dtype):
    # Entries down to exp(-500): far below the smallest number of the kernel's domain.
    x = gumbel(4, 12, 12) / temperature
    got = sinkhorn(x.to(dtype), iterations=400, newton=0, tolerance=INF)
    want = unrolled(topped(x), 400)
    close(got, want, 2e-3 if dtype == torch.float32 else 1e-9)
    assert bool(got.isfinite().all())


def test_small_entries_keep_their_digits():
    x = torch.tensor([[0.0, -60.0, -200.0], [-60.0, 0.0, -10.0], [-200.0, -10.0, 0.0]]).double()
    got, want = sinkhorn(x), unrolled(x, 500)
    close(got.log(), want.log(), 1e-9)


@dtypes
@pytest.mark.parametrize("steps", [1, 3, 13, 40])
def test_any_number_of_steps_leaves_columns_right(steps, dtype):
    x = (gumbel(4, 8, 8) / 0.02).to(dtype)
    p = sinkhorn(x, iterations=1, newton=steps, tolerance=INF)
    assert bool(p.isfinite().all())
    close(p.sum(-2), torch.ones(4, 8), 1e-4)


def test_first_potentials_bring_maxima_to_zero():
    x = 1e3 * normal(4, 3, 5)
    u, v = sweeps.first_potentials(x)
    shifted = x + u + v
    assert torch.equal(shifted.amax(-2), torch.zeros(4, 5).double())
    assert bool((shifted <= 0).all())


def test_buffers_of_the_sweeps_are_laid_out_as_products_are():
    # With others torch (2.10 to 2.13 at least) writes wrong numbers under shortened precision.
    flow = sweeps.LongFlow(torch.ones(3, 25, 24), torch.ones(3, 25, 1), torch.ones(3, 1, 24))
    assert flow.a.stride() == (25, 25, 1)
    assert flow.b.stride() == (24, 24, 1)
