"""The tangent of a replaced gradient is that of the soft value."""

from __future__ import annotations

import pytest
import torch
from torch.func import hessian, jacfwd, jvp, vmap

from relaxit.autograd import replace_gradient
from relaxit.estimators.common import add_gradient

HARD = torch.tensor([1.0, 0.0])


def through(x):
    return replace_gradient(HARD, (2 * x).softmax(-1))


def soft(x):
    return (2 * x).softmax(-1)


def test_value_and_tangent():
    x, along = torch.randn(2), torch.randn(2)
    value, tangent = jvp(through, (x,), (along,))
    assert torch.equal(value, HARD)
    assert torch.equal(tangent, jvp(soft, (x,), (along,))[1])
    assert torch.equal(jacfwd(through)(x), jacfwd(soft)(x))


def test_a_hard_value_with_a_tangent_is_a_constant():
    x = torch.randn(2)
    assert torch.equal(jacfwd(lambda x: replace_gradient(x, x.detach()))(x), torch.zeros(2, 2))
    assert torch.equal(jacfwd(lambda x: replace_gradient(3 * x, x))(x), torch.eye(2))


def test_a_tangent_is_not_shared():
    """Changing the tangent of the result in place leaves that of the soft value alone."""
    along = torch.ones(2)
    _, tangent = jvp(lambda x: replace_gradient(HARD, x), (torch.zeros(2),), (along,))
    tangent.zero_()
    assert torch.equal(along, torch.ones(2))


def test_second_derivatives_and_batches():
    x = torch.randn(3, 2)
    cost = lambda x: (through(x) * torch.tensor([1.0, -2.0])).sum()  # noqa: E731
    smooth = lambda x: (soft(x) * torch.tensor([1.0, -2.0])).sum()  # noqa: E731
    assert torch.allclose(vmap(hessian(cost))(x), vmap(hessian(smooth))(x))


@pytest.mark.parametrize("function", [replace_gradient, add_gradient])
def test_forward_mode_over_forward_mode(function):
    # PyTorch disables forward mode inside of a jvp: a second level would be lost without an error.
    def f(x):
        return function(torch.zeros_like(x), x.sin()).sum()

    x = torch.linspace(-1, 1, 3, dtype=torch.float64)
    want = torch.diag(-x.sin())
    for outer in (torch.func.jacfwd, torch.func.jacrev):
        for inner in (torch.func.jacfwd, torch.func.jacrev):
            torch.testing.assert_close(outer(inner(f))(x), want)
