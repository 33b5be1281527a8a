"""Permutation and Matching: values, pairs of soft and hard, frequencies and masks."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from permutation_helpers import (
    DTYPES,
    INF,
    best,
    close,
    frequencies,
    gumbel,
    listed,
    normal,
    padded,
    seed,
    structure,
    sums_off,
    unrolled,
    which,
)

from relaxit.testing import wrong_shares
from relaxit_permutation.sinkhorn.operator import sinkhorn

SHAPES = [(1, 1), (2, 2), (3, 3), (5, 5), (1, 3), (2, 3), (3, 6), (4, 5)]


# --- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "n"), SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_lie_where_they_should(m, n, dtype):
    s, params = structure(m, n), (3 * normal(4, m, n)).to(dtype)
    for temperature in (0.02, 0.1, 1.0, 10.0, 1e3):
        soft, hard = s(params, temperature).draw((10,), seed(1))
        assert soft.shape == hard.shape == (10, 4, m, n)
        assert soft.dtype == hard.dtype == dtype
        assert bool(s.support.check(soft).all())
        assert bool(s.vertices.check(hard).all())
        bound = 1e-4 + n * torch.finfo(dtype).eps
        assert float(sums_off(soft).max()) < bound


@pytest.mark.parametrize("temperature", [0.02, 0.1, 1.0, 10.0])
def test_hundred_items(temperature):
    s = structure(100, 100)
    soft, hard = s(torch.zeros(2, 100, 100), temperature).draw((), seed(1))
    assert float(sums_off(soft).max()) < 1e-4
    assert bool(s.vertices.check(hard).all())


@pytest.mark.parametrize(("m", "n"), [(2, 2), (3, 3), (5, 5), (2, 4), (4, 5)])
def test_draw_is_the_operator_and_the_best_matching_of_the_same_scores(m, n):
    s, params = structure(m, n), normal(6, m, n)
    noisy = s.perturb(params, torch.Size((5,)), seed(3))
    soft, hard = s(params, 0.3).draw((5,), seed(3))
    close(soft, sinkhorn(noisy, 0.3), 1e-12)
    assert torch.equal(hard, best(noisy))
    close(s(params, 0.3).rsample((5,), seed(3)), soft, 1e-12)
    want = unrolled(padded(noisy / 0.3), 3000)
    there = sums_off(want) < 1e-9
    assert float(there.double().mean()) > 0.6
    close(soft[there], want[there][:, :m], 1e-8)


@pytest.mark.filterwarnings("error")
def test_the_options_reach_the_operator():
    noisy = gumbel(5, 4, 4)
    for options in ({"iterations": 2, "newton": 0}, {"iterations": 1, "newton": 1}):
        s = structure(4, 4, tolerance=100.0, **options)
        close(s.relax(noisy, 0.1), sinkhorn(noisy, 0.1, tolerance=INF, **options), 1e-14)
        if not options["newton"]:
            assert float(sums_off(s.relax(noisy, 0.1)).max()) > 1e-3


@pytest.mark.parametrize(("m", "n"), [(3, 3), (2, 4)])
def test_limits_of_the_temperature(m, n):
    s, params = structure(m, n), normal(200, m, n)
    gaps = []
    for temperature in (3.0, 1.0, 0.3, 0.1, 0.03, 0.003):
        soft, hard = s(params, temperature).draw((), seed(2))
        gaps.append(float((soft - hard).abs().amax((-1, -2)).mean()))
    assert all(later < earlier for earlier, later in itertools.pairwise(gaps))
    assert gaps[0] > 0.3
    assert gaps[-1] < 0.02
    hot = s(params, 1e5).rsample((), seed(2))
    close(hot, torch.full((200, m, n), 1 / n), 1e-3)


# --- soft and hard ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("m", "n"), [(2, 2), (3, 3), (5, 5), (10, 10), (1, 4), (2, 3), (4, 5), (5, 10), (10, 40)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [0.05, 0.3, 1.0, 5.0])
def test_rounding_a_draw_gives_its_hard_value(m, n, dtype, temperature):
    s = structure(m, n)
    soft, hard = s(torch.zeros(m, n, dtype=dtype), temperature).draw((300,), seed(4))
    assert torch.equal(s.hard(soft), hard)


@pytest.mark.parametrize(("m", "n"), [(5, 5), (4, 6)])
def test_rounding_the_matrix_itself_does_not(m, n):
    s = structure(m, n)
    soft, hard = s(torch.zeros(m, n), 1.0).draw((500,), seed(4))
    other = (s.argmax(soft) != hard).flatten(1).any(-1)
    assert float(other.double().mean()) > 0.02


@pytest.mark.parametrize(("m", "n"), [(2, 2), (3, 3), (4, 4)])
def test_hard_is_nearest_in_kl(m, n):
    soft = structure(m, n)(torch.zeros(m, n).double(), 1.0).rsample((50,), seed(1))
    divergence = -torch.where(listed(m, n) == 1, soft.log().unsqueeze(1), 0.0).sum((-1, -2))
    got = structure(m, n).hard(soft)
    assert torch.equal(got, listed(m, n)[divergence.argmin(-1)])


@pytest.mark.parametrize(("m", "n"), [(3, 3), (2, 4)])
def test_vertices_round_to_themselves(m, n):
    s, every = structure(m, n), listed(m, n)
    for dtype in DTYPES:
        assert torch.equal(s.hard(every.to(dtype)), every.to(dtype))
    inside = 0.7 * every + 0.3 / n
    assert torch.equal(s.hard(inside), every)
    assert torch.equal(s.enumerate_vertices(), every)
    assert s.log_cardinality == pytest.approx(math.log(len(every)))


def test_rows_are_ranks():
    # The docstring's promise: P[i, j] = 1 gives item j rank i, and P @ x is x in descending order.
    x = torch.tensor([0.3, 0.9, 0.5, 0.1])
    scores = torch.arange(4, 0, -1.0)[:, None] * x
    hard = structure(4, 4).argmax(scores)
    assert torch.equal(hard @ x, x.sort(descending=True).values)
    close(structure(4, 4).relax(scores, 1e-3) @ x, x.sort(descending=True).values, 1e-3)


# --- the distribution of the hard value -------------------------------------------------------


@pytest.mark.parametrize(("m", "n"), [(3, 3), (2, 3), (1, 4)])
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_frequencies_of_hard_values(m, n, scale):
    # Against an independent simulation by brute force. alpha = 2e-5.
    theta = scale * normal(m, n)
    _, hard = structure(m, n)(theta, 0.5).draw((6000,), seed(5))
    got = torch.bincount(which(hard), minlength=len(listed(m, n))).double()
    assert not wrong_shares(got, frequencies(theta, 100_000, 6))
    tilted = theta.clone()
    tilted[0, 0] += 0.5
    assert wrong_shares(got, frequencies(tilted, 100_000, 6))
    if m == n and scale:
        assert wrong_shares(got, frequencies(theta.mT, 100_000, 6))


def test_the_hard_distribution_is_uniform_for_sums_of_rows_and_columns():
    theta = normal(3, 1) * 3 + normal(1, 3, number=8) * 3
    uniform = frequencies(torch.zeros(3, 3), 50_000, 7)
    assert not wrong_shares(frequencies(theta, 50_000, 6), uniform)
    wide = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 2.0]])  # but not if some column stays free
    assert wrong_shares(frequencies(wide, 50_000, 6), frequencies(torch.zeros(2, 3), 50_000, 7))


@pytest.mark.parametrize(("m", "n"), [(3, 3), (4, 4), (2, 4)])
def test_masked_entries(m, n):
    s, params = structure(m, n), normal(m, n)
    params[0, 1] = params[1, 0] = -INF
    leaf = params.clone().requires_grad_()
    q = s(leaf, 0.4)
    soft, hard = q.draw((200,), seed(1))
    gone = params == -INF
    assert not bool(soft[:, gone].any())
    assert not bool(hard[:, gone].any())
    assert bool((soft[:, ~gone] > 0).all())
    assert torch.equal(s.hard(soft), hard)
    assert float(sums_off(soft).max()) < 1e-4
    (slope,) = torch.autograd.grad((soft * normal(200, m, n)).sum() + s.kl_to_uniform(leaf), leaf)
    assert bool(slope.isfinite().all())
    assert not bool(slope[gone].any())
    assert bool(slope[~gone].any())
