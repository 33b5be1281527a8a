"""The scaling where the error is not checked, as on a GPU, and its last sweeps."""

from __future__ import annotations

import pytest
import torch
from permutation_helpers import KINDS, close, dtypes, gumbel, normal, scores, sums_off

from relaxit_permutation.sinkhorn import scaling
from relaxit_permutation.sinkhorn.operator import sinkhorn

pytestmark = pytest.mark.usefixtures("no_warnings")


def unwatched(x, dtype):
    sums = torch.ones(1, dtype=dtype)
    rows, columns = sums.expand(len(x), x.shape[-2], 1), sums.expand(len(x), 1, x.shape[-1])
    p, _, error = scaling.scale_matrices(x.to(dtype), rows, columns, 200, 40, 1e-5, False)
    return p, error


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


@pytest.mark.parametrize("far", [50.0, 1e4, 1e20])
def test_polishing_reaches_columns_that_are_out_of_reach(far):
    x = normal(4, 5, 5).float()
    x[..., 2] -= far
    sums = torch.ones(4, 5, 1)
    p, _, error = scaling.polish(x, torch.zeros(4, 1, 5), sums, sums.mT, True)
    assert bool(p.isfinite().all())
    assert float(error.max()) < 1e-2


def test_rounding_of_large_scores_does_not_decide_the_sums():
    # In float32 the potentials of such scores are rounded to whole units.
    for number in range(6):
        x = scores("extreme", 8, 5, 5, number).float()
        assert float(sums_off(sinkhorn(x, 1e-3)).max()) < 1e-4
