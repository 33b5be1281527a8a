"""Forward-mode derivatives of soft samples at fixed noise, and of their density."""

from __future__ import annotations

import pytest
import torch
from subset_helpers import INF, LONG, close, normal, seed
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap

import relaxit
from relaxit_subset.relaxed.balance import balance, centre

NAMES = pytest.mark.parametrize("name", ["subset", "subset-plackett-luce"])
SIZES = pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 1), (5, 2), (5, 4), (3, 0), (3, 3)])
TEMPERATURES = pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])


@NAMES
@SIZES
@TEMPERATURES
def test_tangent_of_a_soft_sample_is_that_of_reverse_mode(name, n, k, temperature):
    structure = relaxit.get(name, n=n, k=k)

    def sample(a):
        return structure(a, temperature).rsample((3,), seed(1))

    logits, vector = normal(2, n), normal(2, n, number=3)
    value, tangent = jvp(sample, (logits,), (vector,))
    assert torch.equal(value, sample(logits))
    jacobian = torch.autograd.functional.jacobian(sample, logits)
    close(tangent, (jacobian * vector).sum((-2, -1)), 1e-12)
    close(tangent.sum(-1), torch.zeros(3, 2), 1e-12)  # the sum of a sample is constant


@pytest.mark.parametrize("temperature", [0.3, 1.0, torch.tensor([[0.5], [2.0]]).double()])
@pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 2)])
def test_derivatives_equal_differences(n, k, temperature):
    relax, scores = relaxit.get("subset", n=n, k=k).relax, normal(2, n).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: relax(s, temperature), scores, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(
        lambda s: relax(s, temperature), scores, check_fwd_over_rev=True
    )


@SIZES
def test_hessian_is_the_second_derivative_in_reverse_mode(n, k):
    relax = relaxit.get("subset", n=n, k=k).relax

    def total(s):
        return (relax(s, 0.7) * torch.linspace(1, 2, n, dtype=s.dtype)).sum()

    scores = normal(n)
    want = torch.autograd.functional.hessian(total, scores)
    for got in (
        hessian(total)(scores),
        jacfwd(jacfwd(total))(scores),
        jacrev(jacfwd(total))(scores),
    ):
        close(got, want, 1e-12)


def test_third_derivatives_of_the_shift():
    def shift(x):
        return balance(centre(x, 2), 2, 20).sum()

    want = jacrev(jacrev(jacrev(shift)))(normal(4))
    assert float(want.abs().max()) > 1e-3
    close(jacfwd(jacfwd(jacfwd(shift)))(normal(4)), want, 1e-12)
    close(jacfwd(hessian(shift))(normal(4)), want, 1e-12)


@pytest.mark.parametrize("order", [4, 5, 7])
def test_nested_forward_mode_up_to_the_seventh_derivative_of_the_shift(order):
    x, direction = centre(normal(4), 2), normal(4, number=3)

    def shift(t):
        return balance(x + t * direction, 2).squeeze()

    forward = reverse = shift
    for _ in range(order):
        forward, reverse = jacfwd(forward), grad(reverse)
    start = torch.tensor(0.0, dtype=torch.float64)
    want = reverse(start)
    assert abs(float(want)) > 1e-3
    close(forward(start), want, 1e-9 * abs(float(want)))


def test_vmap_around_and_inside():
    relax = relaxit.get("subset", n=5, k=2).relax
    scores, vector = normal(3, 5), normal(3, 5, number=3)
    want = jvp(lambda s: relax(s, 0.7), (scores,), (vector,))[1]
    got = vmap(lambda s, v: jvp(lambda t: relax(t, 0.7), (s,), (v,))[1])(scores, vector)
    close(got, want, 1e-13)
    close(jvp(vmap(lambda s: relax(s, 0.7)), (scores,), (vector,))[1], want, 1e-13)


@LONG
def test_rows_without_a_choice_have_no_tangent(dtype):
    relax = relaxit.get("subset", n=4, k=2).relax
    rows = [[INF, 0.3, INF, -1.0], [-INF, 0.3, -INF, 1.0], [INF, -INF, 0.2, 0.1]]
    scores = torch.tensor(rows, dtype=dtype)
    value, tangent = jvp(lambda s: relax(s, 0.5), (scores,), (torch.ones_like(scores),))
    assert value[:2].tolist() == [[1, 0, 1, 0], [0, 1, 0, 1]]
    assert not bool(tangent[:2].any())
    close(tangent[2], torch.zeros(4), 4 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("space", ["value", "log"])
@NAMES
def test_density(name, space):
    structure, inside = relaxit.get(name, n=5, k=2), normal(3, 5, number=2)
    soft = structure.relax(inside, 1.0)

    def density(a):
        q = structure(a, 0.7)
        return q.log_prob(soft) if space == "value" else q.log_space.log_prob(soft.logit())

    logits = normal(5)
    close(jacfwd(density)(logits), jacrev(density)(logits), 1e-12)
    want = torch.autograd.functional.hessian(lambda a: density(a).sum(), logits)
    close(hessian(lambda a: density(a).sum())(logits), want, 1e-11)


def test_learned_temperature():
    relax, scores = relaxit.get("subset", n=5, k=2).relax, normal(5)
    tau = torch.tensor([0.7], dtype=torch.float64)
    close(jacfwd(lambda t: relax(scores, t))(tau), jacrev(lambda t: relax(scores, t))(tau), 1e-12)
