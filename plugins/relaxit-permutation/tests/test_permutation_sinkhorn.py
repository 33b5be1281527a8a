"""Sinkhorn's operator: sums, the conditions that pin it down, special cases, failures told."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from permutation_helpers import (
    INF,
    KINDS,
    LONG,
    attractive,
    close,
    gumbel,
    normal,
    padded,
    scores,
    sorting,
    sums_off,
    uneven,
    unrolled,
)

from relaxit import ShapeError
from relaxit.errors import DomainError
from relaxit_permutation.matrices.assignment import assign
from relaxit_permutation.sinkhorn import scaling, sweeps
from relaxit_permutation.sinkhorn.operator import SinkhornWarning, residual, scaled, sinkhorn

TEMPERATURES = [0.01, 0.02, 0.1, 0.3, 1.0, 10.0, 100.0]
AIM = {torch.float32: 1e-4, torch.float64: 1e-9}
dtypes = pytest.mark.parametrize("dtype", LONG)


@pytest.fixture(autouse=True)
def strict():
    """A warning is an error, unless it is expected."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def ones(x):
    return x.new_ones(x.shape[-2]), x.new_ones(x.shape[-1])


def certified(x, p, v, rows, atol):
    """``P = rows * softmax(x + v)``: with the sums right, the conditions of the one maximum.

    The potentials come from the solver, but whoever finds them, they prove the matrix right.
    """
    want = rows.double().unsqueeze(-1) * (x.double() + v.double().unsqueeze(-2)).softmax(-1)
    close(p, want, atol, what="not a scaling of exp(x)")


# --- sums and conditions over a grid ----------------------------------------------------------


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


# --- the two methods --------------------------------------------------------------------------


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


# --- neighbours, shapes, symmetries -----------------------------------------------------------


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


# --- wide matrices, other sums ----------------------------------------------------------------


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


# --- masks ------------------------------------------------------------------------------------


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


# --- what does not converge, and bad input ----------------------------------------------------


def test_the_warning_holds_the_residual():
    x = gumbel(5, 8, 8) / 0.02
    x[0] = 0
    with pytest.warns(SinkhornWarning, match=r"1e-04.*temperature") as told:
        p = sinkhorn(x, iterations=3, newton=0)
    (warning,) = told
    assert warning.message.residual == pytest.approx(float(sums_off(p).max()), rel=1e-6)
    assert warning.message.tolerance == 1e-4
    assert warning.message.matrices == int((sums_off(p) > 1e-4).sum())
    assert isinstance(warning.message, RuntimeWarning)
    close(residual(p), sums_off(p), 1e-12)


def test_the_tolerance_decides():
    x = gumbel(3, 4, 4)
    off = float(sums_off(sinkhorn(x, iterations=4, newton=0, tolerance=INF)).max())
    assert 1e-6 < off < 0.1
    sinkhorn(x, iterations=4, newton=0, tolerance=off * 1.01)
    with pytest.warns(SinkhornWarning):
        sinkhorn(x, iterations=4, newton=0, tolerance=off * 0.99)


@pytest.mark.parametrize("temperature", [1e-3, 1e-2, 1.0])
@pytest.mark.parametrize("scale", [1e4, 1e6])
@pytest.mark.parametrize("n", [2, 5, 32])
@dtypes
def test_huge_scores_give_finite_values_and_an_honest_warning(n, scale, temperature, dtype):
    x = (scale * normal(20, n, n)).to(dtype)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        p = sinkhorn(x, temperature)
    assert bool(p.isfinite().all())
    off = float(sums_off(p).max())
    assert bool(told) == (off > 1e-4)
    if told:
        assert told[0].message.residual == pytest.approx(off, rel=1e-2)


@pytest.mark.parametrize("name", [uneven, attractive, sorting], ids=lambda f: f.__name__)
@pytest.mark.parametrize("iterations", [10, 50, 200])
def test_what_is_reported_is_what_is_returned(name, iterations):
    # In float32 the small entries of the kernel stand in for smaller ones, and must not count.
    x = (name(3, 32, 40.0) if name is uneven else name(3, 32)) / 0.02
    x = x.float()
    p, _, error = scaled(x, *ones(x), iterations, 0, INF)
    assert bool(p.isfinite().all())
    close(error, sums_off(p), 1e-5, 1e-5)


def test_residual():
    square = torch.tensor([[0.5, 0.5], [0.5, 0.4]])
    assert float(residual(square)) == pytest.approx(0.1)
    assert float(residual(torch.tensor([[0.9, 0.1], [0.3, 0.7]]))) == pytest.approx(0.2)
    lack = torch.full((3, 3), 1 / 3) + torch.tensor([[-0.2, 0.1, 0.1], [0, 0, 0], [0, 0, 0]])
    assert float(residual(lack)) == pytest.approx(0.2)  # of a column, which lacks
    wide = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.5, 0.3]])
    assert float(residual(wide - torch.tensor([0.2, 0.0, 0.0]))) == pytest.approx(0.2)
    assert float(residual(wide)) == pytest.approx(0.0, abs=1e-6)
    assert float(residual(wide + torch.tensor([0.0, 0.2, -0.2]))) == pytest.approx(0.4)


@pytest.mark.parametrize("shape", [(3,), (3, 2), (0, 0), (0, 3), (2, 3, 2)], ids=str)
def test_no_matrix_or_a_tall_one(shape):
    with pytest.raises(ShapeError, match="m <= n"):
        sinkhorn(torch.zeros(shape))


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, INF])
def test_temperature(temperature):
    with pytest.raises(DomainError, match="temperature"):
        sinkhorn(torch.zeros(2, 2), temperature)


@pytest.mark.parametrize("bad", [math.nan, INF, -INF], ids=str)
def test_a_bad_matrix_warns_and_leaves_its_neighbours_alone(bad):
    x = gumbel(3, 4, 4) / 0.1
    want = sinkhorn(x)
    x[1, 2] = bad
    with pytest.warns(SinkhornWarning):
        got = sinkhorn(x)
    close(got[[0, 2]], want[[0, 2]], 1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    x = gumbel(3, 4, 4).to(dtype)
    p = sinkhorn(x, 0.3)
    assert p.dtype == dtype
    assert torch.equal(p, sinkhorn(x.float(), 0.3).to(dtype))


# --- where nobody looks, as on a GPU ----------------------------------------------------------


@dtypes
@pytest.mark.parametrize(("n", "batch"), [(1, 3), (2, 100), (3, 100), (5, 100), (10, 40), (32, 8)])
def test_unwatched(n, batch, dtype):
    # Gumbel noise at any temperature asked for. The plan is fixed, so all of this is the same
    # computation on a GPU.
    for kind in ("zero", "gumbel", "rank one", "ties"):
        for temperature in (0.02, 0.05, 0.1, 0.3, 1.0, 10.0):
            p, error = unwatched(scores(kind, batch, n, n) / temperature, dtype)
            assert bool(p.isfinite().all())
            assert float(sums_off(p).max()) < 1e-4, (kind, temperature)
            assert float(error.max()) < 1e-4


def unwatched(x, dtype):
    sums = torch.ones(1, dtype=dtype)
    rows, columns = sums.expand(len(x), x.shape[-2], 1), sums.expand(len(x), 1, x.shape[-1])
    p, _, error = scaling._scale(x.to(dtype), rows, columns, 200, 40, 1e-5, False)
    return p, error


def test_unwatched_looks_at_nothing(monkeypatch):
    # A GPU would be waited for.
    def looked(self):
        raise AssertionError("the value of a tensor is asked for")

    x = torch.cat([scores(kind, 2, 6, 6) for kind in KINDS]) / 0.1
    for name in ("__bool__", "__float__", "__int__", "__index__", "item", "tolist", "nonzero"):
        monkeypatch.setattr(torch.Tensor, name, looked)
    with pytest.raises(AssertionError, match="asked for"):
        sinkhorn(x)
    p, _ = unwatched(x, torch.float32)
    monkeypatch.undo()
    assert p.shape == x.shape


def test_unwatched_equals_watched():
    x = gumbel(20, 6, 6)
    for temperature in (0.05, 0.3, 3.0):
        close(unwatched(x / temperature, torch.float64)[0], sinkhorn(x, temperature), 1e-5)
    assert unwatched(x[:0], torch.float32)[0].shape == (0, 6, 6)


def test_first_potentials_bring_maxima_to_zero():
    x = 1e3 * normal(4, 3, 5)
    u, v = sweeps.first_potentials(x)
    shifted = x + u + v
    assert torch.equal(shifted.amax(-2), torch.zeros(4, 5).double())
    assert bool((shifted <= 0).all())


@pytest.mark.parametrize("far", [50.0, 1e4, 1e20])
def test_polishing_reaches_columns_that_are_out_of_reach(far):
    x = normal(4, 5, 5).float()
    x[..., 2] -= far
    sums = torch.ones(4, 5, 1)
    p, _, error = scaling._polish(x, torch.zeros(4, 1, 5), sums, sums.mT, True)
    assert bool(p.isfinite().all())
    assert float(error.max()) < 1e-2


def test_rounding_of_large_scores_has_not_the_last_word():
    # In float32 the potentials of such scores are rounded to whole units.
    for number in range(6):
        x = scores("extreme", 8, 5, 5, number).float()
        assert float(sums_off(sinkhorn(x, 1e-3)).max()) < 1e-4
