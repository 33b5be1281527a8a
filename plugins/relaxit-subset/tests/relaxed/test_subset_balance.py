"""The shift at which probabilities sum to k: against an explicit root, and its derivatives."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import brentq
from subset_helpers import INF, LONG, close, normal

from relaxit_subset.relaxed.balance import balance, centre

SIZES = pytest.mark.parametrize(
    ("n", "k"), [(2, 1), (5, 1), (5, 4), (7, 3), (100, 1), (100, 99), (1000, 50), (1000, 500)]
)


def probabilities(scores, k):
    x = centre(scores, k)
    return torch.sigmoid(x - balance(x, k))


def surplus(x, shift):
    """Sum of the probabilities below one half, and of the complements of the others."""
    t = (x - shift).double()
    small = torch.sigmoid(-t.abs())
    return torch.where(t > 0, 0.0, small).sum(-1), torch.where(t > 0, small, 0.0).sum(-1)


def root(x, k):
    """The shift by bisection over plain floats."""

    def excess(c):
        return float(torch.sigmoid(x - c).sum()) - k

    return brentq(excess, float(x.min()) - 40, float(x.max()) + 40, xtol=1e-14, rtol=1e-14)


@LONG
@SIZES
@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 30.0, 1e3, 1e6])
def test_sum_is_k(n, k, scale, dtype):
    scores = (normal(4, n) * scale).to(dtype)
    p = probabilities(scores, k).double()
    assert bool(((p >= 0) & (p <= 1)).all())
    close(p.sum(-1), torch.full((4,), float(k)), 8 * torch.finfo(dtype).eps * k)


@LONG
@SIZES
def test_ties(n, k, dtype):
    rows = [torch.zeros(n), torch.full((n,), 1e6), torch.arange(n) // 2, torch.arange(n) % 2]
    scores = torch.stack([row.to(dtype) for row in rows])
    p = probabilities(scores, k).double()
    close(p.sum(-1), torch.full((4,), float(k)), 8 * torch.finfo(dtype).eps * k)
    close(p[:2], torch.full((2, n), k / n, dtype=torch.float64), 8 * torch.finfo(dtype).eps)
    for row, score in zip(p, scores, strict=True):  # equal scores, equal probabilities
        for each in score.unique():
            assert len(row[score == each].unique()) == 1


@LONG
def test_far_from_the_threshold_both_sides_are_equally_small(dtype):
    # Probabilities of 1e-13 and complements of them: their plain sum is k in any case.
    scores = torch.tensor([[30.0, 31.0, -30.0, -29.0, -40.0], [25, 25, -25, -25, -25]], dtype=dtype)
    x = centre(scores, 2)
    low, high = surplus(x, balance(x, 2))
    assert bool((low < 1e-9).all())
    assert float((low / high - 1).abs().max()) < 1e4 * torch.finfo(dtype).eps


@pytest.mark.parametrize(("n", "k"), [(2, 1), (6, 2), (6, 5), (50, 20)])
@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_shift_is_the_root(n, k, scale):
    x = centre(normal(n) * scale, k)
    assert float(balance(x, k)) == pytest.approx(root(x, k), abs=1e-10)


@LONG
def test_infinite_entries(dtype):
    scores = torch.tensor(
        [[0.3, -INF, 1.0, 0.2], [INF, -1.0, 0.5, 0.1], [INF, -INF, 0.5, 0.1]], dtype=dtype
    )
    p = probabilities(scores, 2)
    close(p.sum(-1), torch.full((3,), 2.0), 8 * torch.finfo(dtype).eps)
    assert p[0, 1] == 0
    assert p[1, 0] == 1
    assert p[2, :2].tolist() == [1, 0]
    assert bool(((p > 0) & (p < 1))[scores.isfinite()].all())


def test_rows_without_a_choice():
    scores = torch.tensor([[INF, 0.0, INF], [-INF, 0.0, 1.0], [INF, 3.0, -INF]])
    assert centre(scores, 2).tolist() == [[INF, -INF, INF], [-INF, INF, INF], [INF, INF, -INF]]
    assert probabilities(scores, 2).tolist() == [[1, 0, 1], [0, 1, 1], [1, 1, 0]]
    for k, sign in ((0, -INF), (3, INF)):
        assert centre(torch.zeros(3), k).tolist() == [sign] * 3
        assert balance(centre(torch.zeros(3), k), k).tolist() == [0]


def test_centre_is_between_the_two_at_the_threshold():
    scores = torch.tensor([5.0, 1000.0, 3.0, -7.0, 4.0])
    for k, middle in ((1, 502.5), (2, 4.5), (3, 3.5), (4, -2.0)):
        assert torch.equal(centre(scores, k), scores - middle)


@LONG
def test_a_large_constant_costs_no_digits(dtype):
    scores = normal(6).mul(1000).round().div(1000).to(dtype)
    large = scores + 4096
    close(probabilities(large, 2), probabilities(large - 4096, 2), 4 * torch.finfo(dtype).eps)


# --- derivatives ------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 2), (5, 4)])
def test_gradient_is_that_of_the_root(n, k):
    x = (normal(n) * 2).requires_grad_()
    (got,) = torch.autograd.grad(balance(centre(x, k), k), x)
    step, want = 1e-4, []
    for i in range(n):
        e = torch.eye(n, dtype=torch.float64)[i] * step
        base = x.detach()
        middle = float((base - centre(base, k))[0])
        # A shift of x itself: balance is a function of scores that are already centred.
        ends = [root(base + s * e - middle, k) for s in (1, -1)]
        want.append((ends[0] - ends[1]) / (2 * step))
    close(got, torch.tensor(want), 1e-7)
    assert float(got.sum()) == pytest.approx(1, abs=1e-14)


def test_second_derivatives_equal_differences():
    x = (normal(2, 5) * 2).requires_grad_()

    def shift(x):
        return balance(x, 2, 20)

    assert torch.autograd.gradcheck(shift, x)
    assert torch.autograd.gradgradcheck(shift, x)
    assert torch.autograd.gradgradcheck(
        lambda x: torch.autograd.grad(shift(x).sum(), x, create_graph=True)[0], x
    )


def test_gradient_of_rows_without_a_choice_is_zero():
    x = torch.tensor([[INF, -INF, INF], [-1e9, 1e9, 1e9]], requires_grad=True)
    (slope,) = torch.autograd.grad(balance(x, 2).sum(), x)
    assert bool(slope.isfinite().all())
    assert not bool(slope.any())
