"""Sinkhorn's operator: what does not converge warns, and bad input is rejected."""

from __future__ import annotations

import math
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
    sorting,
    sums_off,
    uneven,
)
from sinkhorn_certificates import ones

from relaxit import ShapeError
from relaxit.errors import DomainError
from relaxit_permutation.sinkhorn.implicit import scaled
from relaxit_permutation.sinkhorn.operator import SinkhornWarning, residual, sinkhorn

pytestmark = pytest.mark.usefixtures("no_warnings")


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
def test_scores_must_be_matrices_with_at_most_as_many_rows_as_columns(shape):
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
