"""Forward-mode derivatives of both discrete distributions, against reverse mode and differences."""

from __future__ import annotations

import pytest
import torch
from subset_helpers import INF, along, close, listed, mean_of, normal, poisson
from torch.distributions import kl_divergence
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

import relaxit

STRUCTURES = pytest.mark.parametrize(
    ("name", "n", "k"),
    [
        ("subset", 2, 1),
        ("subset", 5, 2),
        ("subset", 5, 4),
        ("subset", 3, 0),
        ("subset-plackett-luce", 4, 2),
        ("subset-plackett-luce", 3, 3),
    ],
)
QUANTITIES = ["log-mass", "marginals", "entropy", "kl", "kl-to-uniform"]
NAMES = pytest.mark.parametrize("quantity", QUANTITIES)


def function_of(name, n, k, quantity):
    """The quantity as a function of logits ``[*batch, n]``."""
    structure = relaxit.get(name, n=n, k=k)

    def value(a):
        q = structure(a)
        if quantity == "log-mass":
            return q.discrete.log_prob(along(listed(n, k), a))
        if quantity == "marginals":
            return q.discrete.mean
        if quantity == "entropy":
            return q.discrete.entropy()
        if quantity == "kl-to-uniform":
            return q.kl_to_uniform()
        if quantity == "variance":
            return q.discrete.variance
        other = 0.3 * a.flip(-1) + torch.linspace(-1, 1, n, dtype=a.dtype)
        return kl_divergence(q.discrete, structure(other).discrete)

    return value


@NAMES
@STRUCTURES
def test_tangent_is_the_reverse_jacobian_times_the_vector(name, n, k, quantity):
    function = function_of(name, n, k, quantity)
    logits, vector = normal(2, n) * 2, normal(2, n, number=3)
    value, tangent = jvp(function, (logits,), (vector,))
    assert torch.equal(value, function(logits))
    jacobian = torch.autograd.functional.jacobian(function, logits)
    close(tangent, (jacobian * vector).sum((-2, -1)), 1e-11, 1e-11)


@NAMES
@pytest.mark.parametrize("name", ["subset", "subset-plackett-luce"])
def test_derivatives_equal_differences(name, quantity):
    function, logits = function_of(name, 4, 2, quantity), normal(4).requires_grad_()
    assert torch.autograd.gradcheck(function, logits, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, logits, check_fwd_over_rev=True)


@NAMES
@STRUCTURES
def test_hessian_is_the_second_derivative_in_reverse_mode(name, n, k, quantity):
    function, logits = function_of(name, n, k, quantity), normal(n) * 1.5

    def total(a):
        value = function(a)
        return (value * torch.linspace(1, 2, value.numel(), dtype=a.dtype).view(value.shape)).sum()

    want = torch.autograd.functional.hessian(total, logits)
    # Each order of the two modes calls other rules.
    for got in (
        hessian(total)(logits),
        jacfwd(jacfwd(total))(logits),
        jacrev(jacfwd(total))(logits),
    ):
        close(got, want, 1e-10, 1e-10)


@pytest.mark.parametrize("quantity", ["marginals", "variance", "entropy"])
def test_third_derivatives_agree_in_all_modes(quantity):
    function, logits = function_of("subset", 4, 2, quantity), normal(4)

    def total(a):
        value = function(a)
        return (value * torch.linspace(1, 2, value.numel(), dtype=a.dtype).view(value.shape)).sum()

    want = jacrev(jacrev(grad(total)))(logits)
    assert float(want.abs().max()) > 1e-3
    for got in (
        jacfwd(jacfwd(jacfwd(total))),
        jacfwd(hessian(total)),
        jacfwd(jacrev(jacrev(total))),
        jacrev(hessian(total)),
    ):
        close(got(logits), want, 1e-10)


@pytest.mark.parametrize(("n", "k"), [(3, 1), (5, 2), (6, 4)])
def test_forward_mode_twice_over_a_vector_jacobian_product(n, k):
    # One level moves the logits, the other the vector: the derivative of the covariance.
    logits, along_logits, vector, along_vector = (normal(n, number=i) for i in range(1, 5))
    zero = torch.tensor(0.0, dtype=torch.float64)

    def mixed(mean):
        def product(s, t):
            return vjp(mean, logits + s * along_logits)[1](vector + t * along_vector)[0]

        return jacfwd(lambda s: jacfwd(lambda t: product(s, t))(zero))(zero)

    want = mixed(lambda a: mean_of(poisson(a, k), listed(n, k)))
    assert float(want.abs().max()) > 1e-3
    close(mixed(function_of("subset", n, k, "marginals")), want, 1e-12)


@pytest.mark.parametrize("quantity", ["marginals", "entropy"])
@pytest.mark.parametrize("name", ["subset", "subset-plackett-luce"])
def test_vmap_around_and_inside(name, quantity):
    function = function_of(name, 4, 2, quantity)
    logits, vector = normal(3, 4), normal(3, 4, number=3)
    want = jvp(function, (logits,), (vector,))[1]
    close(vmap(lambda a, v: jvp(function, (a,), (v,))[1])(logits, vector), want, 1e-12)
    close(jvp(vmap(function), (logits,), (vector,))[1], want, 1e-12)
    close(
        vmap(hessian(lambda a: function(a).sum()))(logits),
        torch.stack([hessian(lambda a: function(a).sum())(a) for a in logits]),
        1e-12,
    )


@pytest.mark.parametrize("quantity", ["marginals", "entropy"])
@pytest.mark.parametrize("row", [[0.3, -INF, 1.0, 0.2], [INF, -1.0, 0.5, 0.1]], ids=str)
def test_masked_and_forced_items_have_no_tangent(row, quantity):
    function, logits = function_of("subset", 4, 2, quantity), torch.tensor(row).double()
    free = logits.isfinite()
    tangent = jvp(function, (logits,), (torch.ones(4).double(),))[1]
    close(tangent, torch.zeros_like(tangent), 1e-12)  # a constant in all logits
    jacobian = jacfwd(function)(logits)
    assert not bool(jacobian[..., ~free].any())
    close(jacobian, jacrev(function)(logits), 1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtypes(dtype):
    function = function_of("subset", 5, 2, "marginals")
    logits, vector = normal(2, 5).to(dtype), normal(2, 5, number=3).to(dtype)
    value, tangent = jvp(function, (logits,), (vector,))
    assert value.dtype == tangent.dtype == dtype
    want = jvp(function, (logits.double(),), (vector.double(),))[1]
    close(tangent, want, 4 * torch.finfo(dtype).eps)
