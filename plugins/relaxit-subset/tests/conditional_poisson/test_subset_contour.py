"""The Fourier rule of the conditional Poisson distribution: error bound, chunks and points."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from subset_helpers import LONG, close, normal, tolerance

from relaxit_subset.conditional_poisson import contour
from relaxit_subset.relaxed.balance import COARSE, balance, centre

# Scale of the logits of 600 items: variances of their bits from 0 to 150.
SCALES = [0.0, 0.1, 1.0, 3.0, 10.0, 100.0, 1e4]


def balanced(logits, k):
    x = centre(logits, k)
    return x - balance(x, k, COARSE)


def sides(t):
    """The arguments of the rule: logits of the minor sides, and -1 for complements."""
    return -t.abs(), torch.where(t > 0, -1.0, 1.0).to(t.dtype)


def convolved(t):
    """Probabilities of all sums of independent bits."""
    total = np.ones(1)
    for each in torch.stack([torch.sigmoid(-t.double()), torch.sigmoid(t.double())], -1).numpy():
        total = np.convolve(total, each)
    return total


def minor_by_convolution(t, k):
    """Conditional probability of each minor side: of the bit itself and a sum of all others."""
    total, found = convolved(t)[k], []
    for i in range(len(t)):
        no, yes = (float(torch.sigmoid(s * t[i].double())) for s in (-1, 1))
        rest = convolved(torch.cat([t[:i], t[i + 1 :]]))
        chosen = yes * rest[k - 1] / total
        left_out = no * rest[k] / total
        found.append(left_out if float(t[i]) > 0 else chosen)
    return torch.tensor(found)


@LONG
@pytest.mark.parametrize("k", [1, 30, 300, 599])
def test_probability_of_the_sum_equals_that_of_a_convolution(k, dtype):
    logits = torch.stack([normal(600, number=i) * s for i, s in enumerate(SCALES)]).to(dtype)
    t = balanced(logits, k)
    got, _ = contour.minor_marginals(*sides(t), k)
    want = torch.tensor([convolved(row)[k] for row in t]).log()
    # A product of 600 factors, whose rounding errors have one sign where the factors are equal.
    close(got, want, 300 * torch.finfo(dtype).eps)


@LONG
@pytest.mark.parametrize("size", range(2, 25))
def test_every_small_size(size, dtype):
    # Where n points would do, and the number of points is odd or even.
    for k in range(1, size):
        t = balanced((normal(size, number=size) * 2).to(dtype), k)
        got, minor = contour.minor_marginals(*sides(t), k)
        close(got, torch.tensor(convolved(t)[k]).log(), 5 * tolerance(dtype), tolerance(dtype))
        if size % 8 == 5:
            close(minor, minor_by_convolution(t, k), 5 * tolerance(dtype), 0, f"k = {k}")


@LONG
def test_marginals_of_many_items(dtype):
    t = balanced(torch.cat([normal(30) * 0.1, normal(30) * 5]).to(dtype), 23)
    _, minor = contour.minor_marginals(*sides(t), 23)
    want = minor_by_convolution(t, 23)
    close(minor, want, tolerance(dtype))
    # Also the rarest are right to a few digits: no cancellation.
    assert float(want.min()) < 1e-3
    assert float(((minor.double() - want) / want).abs().max()) < 2e3 * torch.finfo(dtype).eps


# --- chunks -----------------------------------------------------------------------------------


def everything(u, sign, k):
    """Both results and two derivatives."""
    u = u.clone().requires_grad_()
    log_probability, minor = contour.minor_marginals(u, sign, k)
    value = log_probability.sum() + (minor * normal(*minor.shape)).sum()
    (first,) = torch.autograd.grad(value, u, create_graph=True)
    (second,) = torch.autograd.grad((first * normal(*first.shape, number=8)).sum(), u)
    return log_probability, minor, first, second


@pytest.mark.parametrize("entries", [1, 2 * 21, 5 * 42, 26 * 42, 10**9])
def test_the_size_of_chunks_changes_nothing(entries, monkeypatch):
    t = balanced(normal(2, 21) * torch.tensor([[0.1], [3.0]], dtype=torch.float64), 8)
    want = everything(*sides(t), 8)
    monkeypatch.setattr(contour, "CHUNK", entries)
    assert contour.chunk_size(t) == max(1, entries // 42)
    for got, expected in zip(everything(*sides(t), 8), want, strict=True):
        close(got, expected, 1e-14, 1e-13)


# --- points -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "points"), [(torch.float32, 13), (torch.float64, 27)])
def test_number_of_points(dtype, points):
    assert contour.POINTS[dtype] == points
    for n in (5, 20, 40, 2000):
        minor = torch.sigmoid(-(normal(3, n).abs() * 2)).to(dtype)
        half, kept = contour.rule_size(minor)
        assert kept == min(points, n // 2 + 1)
        assert bool((2 * half <= n + 2).all())


@LONG
def test_points_left_out_do_not_count(dtype):
    # |F| is below e^-L at the first angle that is not kept, or that angle is beyond pi.
    exponent = contour.EXPONENT[dtype]
    variance = 10.0 ** torch.linspace(-3, 6, 2000, dtype=torch.float64)
    whole = exponent / 3 + (exponent**2 / 9 + 2 * exponent * variance).sqrt()
    half = (whole / 2).ceil()
    angle = (contour.POINTS[dtype] + 0.5) * torch.pi / half
    assert bool(((angle > torch.pi) | (variance * (1 - angle.cos()) >= exponent)).all())


def test_fewer_points_would_be_seen(monkeypatch):
    # So that the tests above are known to see it: a rule of a third of the points.
    t = balanced(normal(100), 50)
    want = torch.tensor(convolved(t)[50]).log()
    monkeypatch.setitem(contour.POINTS, torch.float64, 9)
    got, _ = contour.minor_marginals(*sides(t), 50)
    assert abs(float(got - want)) > 1e-11
