"""Three derivatives of the distribution of `subset`, against autograd of the enumeration."""

from __future__ import annotations

import pytest
import torch
from subset_helpers import (
    LONG,
    along,
    close,
    entropy_of,
    kl_of,
    listed,
    mean_of,
    normal,
    poisson,
    scales,
)
from torch.distributions import kl_divergence

import relaxit
from relaxit_subset.conditional_poisson.recursion import log_partition


def distribution(logits, k):
    return relaxit.get("subset", n=logits.shape[-1], k=k).discrete(logits)


def quantities(exact, k):
    """Functions of logits: scalars, whose derivatives are compared."""

    def log_mass(a):
        return (
            poisson(a, k)
            if exact
            else distribution(a, k).log_prob(along(listed(a.shape[-1], k), a))
        )[1]

    def mean(a):
        return mean_of(poisson(a, k), listed(a.shape[-1], k)) if exact else distribution(a, k).mean

    def entropy(a):
        return entropy_of(poisson(a, k)) if exact else distribution(a, k).entropy()

    def kl(a):
        b = 0.3 * a.flip(-1) + torch.linspace(-1, 1, a.shape[-1], dtype=a.dtype)
        if exact:
            return kl_of(poisson(a, k), poisson(b, k))
        return kl_divergence(distribution(a, k), distribution(b, k))

    return {"log-mass": log_mass, "marginals": mean, "entropy": entropy, "kl": kl}


NAMES = pytest.mark.parametrize("name", ["log-mass", "marginals", "entropy", "kl"])


def slopes_of(function, logits):
    """The first derivative and the second one, along fixed directions."""
    value = function(logits)
    upstream = normal(*value.shape, number=1)
    (first,) = torch.autograd.grad(value, logits, upstream, create_graph=True)
    (second,) = torch.autograd.grad(first, logits, normal(*first.shape, number=2))
    return first, second


@NAMES
@pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 2), (9, 6)])
def test_first_and_second_derivatives_equal_enumeration(name, n, k):
    logits = scales(n).requires_grad_()
    got = slopes_of(quantities(False, k)[name], logits)
    want = slopes_of(quantities(True, k)[name], logits)
    for order, pair in enumerate(zip(got, want, strict=True)):
        size = float(pair[1].detach().abs().max())  # the divergence has derivatives of hundreds
        close(*pair, 2e-11 * (1 + size), 0, f"order {order + 1}")


@NAMES
def test_derivatives_equal_differences(name):
    function, logits = quantities(False, 2)[name], normal(4).requires_grad_()
    assert torch.autograd.gradcheck(function, logits)
    assert torch.autograd.gradgradcheck(function, logits)


@pytest.mark.parametrize("name", ["marginals", "entropy"])
def test_third_derivatives_equal_differences(name):
    function = quantities(False, 2)[name]

    def slope(a):
        value = function(a)
        weights = torch.linspace(1, 2, value.numel(), dtype=a.dtype).view(value.shape)
        return torch.autograd.grad((weights * value).sum(), a, create_graph=True)[0]

    assert torch.autograd.gradgradcheck(slope, (normal(4) * 1.5).requires_grad_())


@LONG
@NAMES
def test_derivatives_at_fifty_are_finite(name, dtype):
    logits = torch.tensor([50.0, -50.0, 50.0, -50.0, 50.0, 0.0], dtype=dtype, requires_grad=True)
    value = quantities(False, 2)[name](logits).sum()
    (first,) = torch.autograd.grad(value, logits, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), logits)
    assert bool(value.isfinite())
    assert bool(first.isfinite().all())
    assert bool(second.isfinite().all())


def test_a_thousand_items_equal_the_recursion():
    sizes = torch.tensor([0.01, 1.0, 10.0, 50.0], dtype=torch.float64)
    logits = (normal(4, 1000) * sizes.unsqueeze(-1)).requires_grad_()
    (want,) = torch.autograd.grad(log_partition(logits, 50).sum(), logits, create_graph=True)
    vector = normal(4, 1000, number=1)
    (want_product,) = torch.autograd.grad(want, logits, vector)
    got = distribution(logits, 50).mean
    (product,) = torch.autograd.grad(got, logits, vector)
    # The recursion adds up logarithms of thousands: its own rounding is 1e-12 and more.
    close(got, want, 1e-10)
    close(product, want_product, 1e-10)
    close(got.sum(-1), torch.full((4,), 50.0), 1e-11)
    short = logits.detach().float().requires_grad_()
    mean = distribution(short, 50).mean
    (product,) = torch.autograd.grad(mean, short, vector.float())
    exact = distribution(short.detach().double(), 50).mean
    close(mean, exact, 1e-6)
    assert float((product.double() - want_product).norm() / want_product.norm()) < 1e-4


def test_what_is_known_without_a_gradient_is_computed_again_for_one():
    logits = normal(5).requires_grad_()
    got = distribution(logits, 2)
    with torch.no_grad():
        quiet = got.entropy()
    assert not quiet.requires_grad
    assert got.entropy().requires_grad
    assert got.mean.requires_grad
