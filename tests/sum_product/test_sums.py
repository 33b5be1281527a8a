"""The sums of a log-partition function: their values, and what their derivatives are."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import grad, gradcheck, gradgradcheck

from relaxit.sum_product import Drawn, largest, log_sum
from relaxit.testing import wrong_frequencies
from tests.helpers import seed

INF = torch.inf
DIMS = pytest.mark.parametrize("dim", [0, 1, -1, -2])
SUMS = pytest.mark.parametrize("plus", [log_sum, largest, Drawn(seed(0))])


def normal(*shape, number=7):
    return torch.randn(shape, generator=seed(number), dtype=torch.float64)


@DIMS
def test_values(dim):
    x = normal(4, 3)
    torch.testing.assert_close(log_sum(x, dim), x.exp().sum(dim).log())
    torch.testing.assert_close(Drawn(seed(1))(x, dim), x.exp().sum(dim).log())
    assert torch.equal(largest(x, dim), x.amax(dim))


@SUMS
def test_nothing_but_masks(plus):
    x = torch.tensor([[-INF, -INF], [0.0, -INF]], requires_grad=True)
    total = plus(x, 1)
    assert total.detach().tolist() == [-INF, 0.0]
    (slope,) = grad(total[1], x)
    assert slope.tolist() == [[0.0, 0.0], [1.0, 0.0]]


@pytest.mark.parametrize("plus", [log_sum, Drawn(seed(0))])
def test_first_and_second_derivatives_of_nothing_but_masks_are_finite(plus):
    x = torch.full((2, 3), -INF, dtype=torch.float64, requires_grad=True)
    (first,) = grad(plus(x, -1).sum(), x, create_graph=True)
    assert first.tolist() == [[0.0] * 3] * 2
    if first.requires_grad:
        (second,) = grad(first.sum(), x)
        assert second.tolist() == [[0.0] * 3] * 2


def test_derivatives_of_a_log_sum():
    x = normal(2, 3).requires_grad_()
    assert gradcheck(lambda x: log_sum(x, -1), x)
    assert gradgradcheck(lambda x: log_sum(x, -1), x)
    masked = torch.tensor([0.3, -INF, 1.0], dtype=torch.float64, requires_grad=True)
    (first,) = grad(log_sum(masked, 0), masked, create_graph=True)
    torch.testing.assert_close(first, masked.softmax(0))
    (second,) = grad(first[0], masked)
    p = masked.detach().softmax(0)
    eye = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(second, p[0] * (eye[0] - p))


@pytest.mark.parametrize("scale", [1e3, 1e8])
def test_large_numbers(scale):
    x = torch.tensor([scale, scale, -scale], dtype=torch.float64)
    torch.testing.assert_close(log_sum(x, 0) - scale, torch.tensor(2.0).double().log())
    assert float(log_sum(-x, 0)) == scale


def test_the_derivative_of_the_largest_number_is_a_single_one():
    x = torch.tensor([[1.0, 1.0, 0.0], [-INF, -INF, -INF], [2.0, 3.0, 3.0]], requires_grad=True)
    (slope,) = grad(largest(x, 1).sum(), x)
    assert slope.sum(1).tolist() == [1.0, 1.0, 1.0]
    assert bool(((slope == 0) | (slope == 1)).all())
    assert float(slope[0, 2]) == float(slope[2, 0]) == 0.0


# --- drawn terms --------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [0, 1])
def test_terms_are_drawn_in_proportion_to_their_exponentials(dim):
    """False-alarm rate 2e-5 each."""
    x = torch.tensor([0.0, 1.0, -INF, 2.5, -1.0], dtype=torch.float64)
    rows = x.expand(20_000, 5) if dim else x.unsqueeze(1).expand(5, 20_000)
    leaf = rows.clone().requires_grad_()
    (slope,) = grad(Drawn(seed(1))(leaf, dim).sum(), leaf)
    assert bool((slope.sum(dim) == 1).all())
    assert not wrong_frequencies(slope.sum(1 - dim), x.softmax(0))


def test_generators_of_drawn_terms():
    x = torch.zeros(50, 4, requires_grad=True)

    def drawn(generator=None):
        return grad(Drawn(generator)(x, -1).sum(), x)[0]

    assert torch.equal(drawn(seed(1)), drawn(seed(1)))
    assert not torch.equal(drawn(seed(1)), drawn(seed(2)))
    plus, one = Drawn(seed(1)), []
    for _ in range(2):  # it goes on, rather than starting anew
        one.append(grad(plus(x, -1).sum(), x)[0])
    assert not torch.equal(*one)
    torch.manual_seed(3)
    first = drawn()
    torch.manual_seed(3)
    assert torch.equal(drawn(), first)
