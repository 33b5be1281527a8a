"""The derivative as a quantity: right values of all orders, wherever it is computed."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import forward_ad, grad, gradcheck, gradgradcheck
from torch.func import hessian, jacfwd, jacrev, jvp, vmap

from relaxit.derivative import derivative, transposed
from tests.helpers import seed


def normal(*shape, number=7, dtype=torch.float64):
    return torch.randn(shape, generator=seed(number), dtype=torch.float64).to(dtype)


# A function of rows, the number of dimensions of a row, its derivative.
FUNCTIONS = {
    "log-sum": (lambda x: x.logsumexp(-1), (4,), lambda x: x.softmax(-1)),
    "cubes": (lambda x: x.pow(3).sum((-2, -1)), (2, 3), lambda x: 3 * x.square()),
    "number": (torch.sin, (), torch.cos),
    "some": (lambda x: x[..., 1].exp(), (3,), lambda x: x.exp() * torch.eye(3, dtype=x.dtype)[1]),
    "linear": (lambda x: 2 * x.sum(-1), (3,), lambda x: torch.full_like(x, 2.0)),
    "product": (lambda x: x.prod(-1), (2,), lambda x: x.flip(-1)),
}
ALL = pytest.mark.parametrize(
    ("function", "event", "wanted"), FUNCTIONS.values(), ids=list(FUNCTIONS)
)
SMOOTH = pytest.mark.parametrize(
    ("function", "event", "wanted"),
    [FUNCTIONS[name] for name in ("log-sum", "cubes", "number", "product")],
)


def slope_of(function, event):
    return lambda x: derivative(function, x, len(event))


@ALL
@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values(function, event, wanted, batch, dtype):
    x = normal(*batch, *event, dtype=dtype)
    got = derivative(function, x, len(event))
    assert got.shape == x.shape
    assert got.dtype == dtype
    torch.testing.assert_close(got, wanted(x))


@SMOOTH
def test_further_derivatives(function, event, wanted):
    leaf = normal(3, *event).requires_grad_()
    assert gradcheck(slope_of(function, event), leaf)
    assert gradgradcheck(slope_of(function, event), leaf)
    weights = normal(3, *event, number=1)
    (got,) = grad((derivative(function, leaf, len(event)) * weights).sum(), leaf)
    torch.testing.assert_close(got, grad((wanted(leaf) * weights).sum(), leaf)[0])
    assert leaf.grad is None


@ALL
def test_a_derivative_has_a_gradient_if_the_input_has(function, event, wanted):
    leaf = normal(3, *event).requires_grad_()
    assert derivative(function, leaf, len(event)).requires_grad
    inner = derivative(function, 2 * leaf, len(event))  # not a leaf
    (got,) = grad(inner.sum(), leaf)
    want = wanted(2 * leaf).sum()
    torch.testing.assert_close(
        got, grad(want, leaf)[0] if want.requires_grad else torch.zeros_like(leaf)
    )
    assert not derivative(function, leaf.detach(), len(event)).requires_grad
    with torch.no_grad():
        quiet = derivative(function, leaf, len(event))
    assert not quiet.requires_grad
    torch.testing.assert_close(quiet, wanted(leaf).detach())
    assert leaf.grad is None


def test_a_constant_derivative_of_infinite_numbers_has_a_finite_gradient():
    leaf = torch.tensor([0.0, -torch.inf], requires_grad=True)
    slope = derivative(lambda x: x[..., 0] + x[..., 1], leaf, 1)
    assert slope.tolist() == [1.0, 1.0]
    assert grad(slope.sum(), leaf)[0].tolist() == [0.0, 0.0]


@ALL
def test_inference_mode(function, event, wanted):
    x = normal(3, *event)
    with torch.inference_mode():
        inside = derivative(function, x, len(event))
        made = x.clone()
        torch.testing.assert_close(derivative(function, made, len(event)), wanted(x))
    torch.testing.assert_close(inside, wanted(x))
    torch.testing.assert_close(derivative(function, made, len(event)), wanted(x))


@ALL
def test_vmap(function, event, wanted):
    x = normal(2, 3, *event)
    slope = slope_of(function, event)
    torch.testing.assert_close(vmap(slope)(x), wanted(x))
    torch.testing.assert_close(vmap(vmap(slope))(x), wanted(x))
    leaf = x.requires_grad_()
    got = vmap(slope)(leaf)
    if got.requires_grad:
        weights = normal(*x.shape, number=1)
        want = grad((wanted(leaf) * weights).sum(), leaf)[0]
        torch.testing.assert_close(grad((got * weights).sum(), leaf)[0], want)


@SMOOTH
def test_transforms(function, event, wanted):
    x, tangent = normal(*event), normal(*event, number=1)
    slope = slope_of(function, event)
    _, forward = jvp(slope, (x,), (tangent,))
    torch.testing.assert_close(forward, jvp(wanted, (x,), (tangent,))[1])
    torch.testing.assert_close(jacrev(slope)(x), hessian(function)(x))
    torch.testing.assert_close(jacfwd(slope)(x), hessian(function)(x))
    torch.testing.assert_close(vmap(jacrev(slope))(x.expand(2, *event))[1], hessian(function)(x))


@SMOOTH
def test_tangents(function, event, wanted):
    x, tangent = normal(3, *event), normal(3, *event, number=1)
    with forward_ad.dual_level():
        dual = derivative(function, forward_ad.make_dual(x, tangent), len(event))
        got = forward_ad.unpack_dual(dual).tangent
    torch.testing.assert_close(got, jvp(wanted, (x,), (tangent,))[1])


def test_a_batch_of_gradients():
    leaf = normal(3).requires_grad_()
    slope = derivative(lambda x: x.logsumexp(-1), leaf.square(), 1)
    eye = torch.eye(3, dtype=torch.float64)
    (got,) = grad(slope, leaf, eye, is_grads_batched=True)
    torch.testing.assert_close(got, jacrev(lambda x: x.square().softmax(-1))(leaf.detach()))


# --- the transpose ------------------------------------------------------------------------------


LINEAR = lambda x: torch.cat([x.cumsum(-1), x[..., :1]], -1)  # noqa: E731
MATRIX = LINEAR(torch.eye(3, dtype=torch.float64)).mT  # LINEAR(x) = MATRIX @ x


@pytest.mark.parametrize("batch", [(), (2,), (2, 5), (0,)])
def test_transposed(batch):
    y = normal(*batch, 4)
    got = transposed(LINEAR, torch.zeros(*batch, 3, dtype=torch.float64), y, 1)
    torch.testing.assert_close(got, y @ MATRIX)


def test_transposed_has_a_gradient_in_what_it_is_applied_to():
    y, weights = normal(2, 4).requires_grad_(), normal(2, 3, number=1)
    zeros = torch.zeros(2, 3, dtype=torch.float64)
    (got,) = grad((transposed(LINEAR, zeros, y, 1) * weights).sum(), y)
    torch.testing.assert_close(got, weights @ MATRIX.mT)
    assert not transposed(LINEAR, zeros, y.detach(), 1).requires_grad


def test_transposed_under_transforms():
    y, tangent, zeros = normal(2, 4), normal(2, 4, number=1), torch.zeros(3, dtype=torch.float64)
    back = lambda row: transposed(LINEAR, zeros, row, 1)  # noqa: E731
    torch.testing.assert_close(vmap(back)(y), y @ MATRIX)
    torch.testing.assert_close(jacrev(back)(y[0]), MATRIX.mT)
    _, forward = jvp(vmap(back), (y,), (tangent,))
    torch.testing.assert_close(forward, tangent @ MATRIX)


def test_transposed_of_matrices_and_of_a_function_that_is_not_linear():
    x, y = normal(3, 2, 4), normal(3, 4, 2, number=1)
    torch.testing.assert_close(transposed(lambda a: a.mT, x, y, 2), y.mT)
    squares = transposed(torch.square, x, y.mT, 2)
    torch.testing.assert_close(squares, 2 * x * y.mT)


def test_transposed_of_and_to_numbers():
    x, y = normal(3, 2), normal(3, number=1)
    twice = transposed(lambda a: 2 * a, y, 3 * torch.ones_like(y), 0)
    torch.testing.assert_close(twice, torch.full((3,), 6.0, dtype=torch.float64))
    torch.testing.assert_close(transposed(lambda a: a.sum(-1), x, y, 1), y[:, None].expand(3, 2))
