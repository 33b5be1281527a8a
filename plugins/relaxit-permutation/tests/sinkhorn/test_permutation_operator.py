"""Sinkhorn's operator: sums, and the conditions that determine it, at all temperatures."""

from __future__ import annotations

import pytest
import torch
from permutation_helpers import (
    INF,
    KINDS,
    attractive,
    close,
    dtypes,
    scores,
    sorting,
    sums_off,
    uneven,
    unrolled,
)
from sinkhorn_certificates import AIM, TEMPERATURES, certified, ones

from relaxit_permutation.sinkhorn.implicit import scaled
from relaxit_permutation.sinkhorn.operator import sinkhorn

pytestmark = pytest.mark.usefixtures("no_warnings")


@dtypes
@pytest.mark.parametrize(("n", "batch"), [(1, 2), (2, 6), (3, 6), (4, 6), (5, 6), (6, 6), (10, 4)])
def test_doubly_stochastic_and_optimal(n, batch, dtype):
    for kind in KINDS:
        for temperature in TEMPERATURES:
            x = (scores(kind, batch, n, n) / temperature).to(dtype)
            # In float32 scores of 1e6 are known to 0.06: a warning is fair there.
            rough = float(x.abs().max()) * torch.finfo(dtype).eps
            p, v, error = scaled(x, *ones(x), tolerance=INF)
            assert bool(p.isfinite().all()), (kind, temperature)
            assert bool((p >= 0).all())
            exact = kind != "extreme" or dtype == torch.float32
            granted = 1e-2 if rough > 1e-3 else AIM[dtype] if exact else 1e-6
            assert float(sums_off(p).max()) < granted, (kind, temperature)
            close(error, sums_off(p), 3e-6 if dtype == torch.float32 else 1e-13)
            if rough < 1e-3:
                certified(x, p, v, x.new_ones(n), granted / 5 + 8 * rough)


@dtypes
@pytest.mark.parametrize(("n", "batch", "temperatures"), [(32, 3, TEMPERATURES), (100, 2, [0.02])])
@pytest.mark.parametrize("kind", ["gumbel", "learned", "sparse", "blocks", "distances"])
def test_larger(kind, n, batch, temperatures, dtype):
    for temperature in temperatures:
        x = (scores(kind, batch, n, n) / temperature).to(dtype)
        p, v, _ = scaled(x, *ones(x))
        assert float(sums_off(p).max()) < AIM[dtype]
        rough = float(x.abs().max()) * torch.finfo(dtype).eps
        certified(x, p, v, x.new_ones(n), AIM[dtype] / 5 + 8 * rough)


@pytest.mark.parametrize("temperature", [0.02, 0.1, 1.0, 10.0])
def test_hundred(temperature):
    p = sinkhorn(scores("gumbel", 2, 100, 100).float(), temperature)
    assert float(sums_off(p).max()) < 1e-4


@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_equals_the_unrolled_form(n):
    kinds = ["zero", "gumbel", "rank one", "sparse", "nearly tied", "ties", "duplicates"]
    x = torch.stack([scores(kind, 2, n, n) for kind in kinds])
    temperature = torch.tensor([0.3, 1.0, 3.0, 30.0]).double().view(-1, 1, 1, 1, 1)
    want = unrolled(x / temperature, 4000)
    there = sums_off(want) < 1e-9  # the oracle has converged
    assert float(there.double().mean()) > 0.9
    close(sinkhorn(x, temperature)[there], want[there], 1e-8)
    close(sinkhorn(x.float(), temperature)[there], want[there], 1e-4)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_two_by_two_in_closed_form(temperature):
    x = torch.cat([scores(kind, 3, 2, 2) for kind in KINDS])
    first = torch.sigmoid((x[:, 0, 0] + x[:, 1, 1] - x[:, 0, 1] - x[:, 1, 0]) / (2 * temperature))
    want = torch.stack([first, 1 - first, 1 - first, first], -1).view(-1, 2, 2)
    close(sinkhorn(x, temperature), want, 1e-8)


@dtypes
def test_one_by_one(dtype):
    for value in (0.0, 1e4, -1e4):
        assert (
            sinkhorn(torch.full((3, 1, 1), value, dtype=dtype), 0.1).flatten().tolist() == [1] * 3
        )


@pytest.mark.parametrize("name", [uneven, attractive, sorting], ids=lambda f: f.__name__)
@pytest.mark.parametrize("n", [5, 12, 32, 100])
@dtypes
def test_where_potentials_have_far_to_go(name, n, dtype):
    # A large shift between groups of columns, found by none of the first sweeps; and scalings that
    # outgrow the kernel's smallest entry within one chunk of them.
    for temperature in (0.02, 0.1, 1.0):
        x = name(3, n, 10.0) if name is uneven else name(3, n)
        x = (x / temperature).to(dtype)
        p, v, _ = scaled(x, *ones(x))
        assert float(sums_off(p).max()) < AIM[dtype], temperature
        certified(x, p, v, x.new_ones(n), AIM[dtype] / 5 + 16 * float(x.abs().max()) * 1.2e-7)


@pytest.mark.parametrize("gap", [5.0, 20.0, 40.0])
def test_a_leak_between_blocks(gap):
    # The leak is the same at all gaps: rows and columns demand it.
    x = uneven(4, 32, gap)
    p = sinkhorn(x)
    here = (torch.arange(32) < 16)[:, None] == (torch.arange(32) < 17)
    assert float(sums_off(p).max()) < 1e-9
    close(p.masked_fill(here, 0).sum((-1, -2)), torch.ones(4), 1e-1 if gap == 5 else 1e-6)
