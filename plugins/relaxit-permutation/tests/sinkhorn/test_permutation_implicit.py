"""Derivatives of the scaling in forward mode, and of both modes over each other."""

from __future__ import annotations

import pytest
import torch
from permutation_helpers import close, normal, structure

from relaxit_permutation.sinkhorn.implicit import scaled
from relaxit_permutation.sinkhorn.operator import sinkhorn

pytestmark = pytest.mark.usefixtures("all_converge")


@pytest.mark.parametrize("temperature", [1e-9, 0.1, 1.0])
@pytest.mark.parametrize("shape", [(4, 4), (2, 5), (2, 3, 3)], ids=str)
def test_forward_mode_agrees_with_reverse_mode(temperature, shape):
    x = normal(*shape)

    def soft(v):
        return sinkhorn(v, temperature)

    backward = torch.func.jacrev(soft)(x)
    close(torch.func.jacfwd(soft)(x), backward, 1e-8 / temperature)
    direction = normal(*shape, number=2)
    _, tangent = torch.func.jvp(soft, (x,), (direction,))
    close(tangent, torch.tensordot(backward, direction, dims=x.dim()), 1e-8 / temperature)
    # As autograd.forward_ad does it, without torch.func.
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, direction)
        close(torch.autograd.forward_ad.unpack_dual(soft(dual)).tangent, tangent, 1e-12)


def test_forward_mode_in_sums():
    x, rows, columns = normal(3, 4), torch.tensor([2.0, 1, 1]), torch.ones(4)
    change = normal(3, number=2), normal(4, number=3)
    change = change[0] - change[0].mean(), change[1] - change[1].mean()

    def plan(r, c):
        return scaled(x, r, c)[0]

    given = rows.double(), columns.double()
    _, tangent = torch.func.jvp(plan, given, change)
    step = 1e-6
    ahead = plan(*(g + step * d for g, d in zip(given, change, strict=True)))
    behind = plan(*(g - step * d for g, d in zip(given, change, strict=True)))
    close(tangent, (ahead - behind) / (2 * step), 1e-7)
    close(tangent.sum(-1), change[0], 1e-9)
    close(tangent.sum(-2), change[1], 1e-9)


@pytest.mark.parametrize("shape", [(3, 3), (2, 3)], ids=str)
def test_hessian(shape):
    x, weights = normal(*shape), normal(*shape, number=3)

    def loss(v):
        return (sinkhorn(v, 0.7).square() * weights).sum()

    hessian = torch.func.hessian(loss)(x)  # forward over reverse
    close(hessian, torch.func.jacrev(torch.func.jacrev(loss))(x), 1e-9)
    close(hessian, torch.func.jacrev(torch.func.jacfwd(loss))(x), 1e-9)
    close(hessian, torch.func.jacfwd(torch.func.jacfwd(loss))(x), 1e-9)
    flat = hessian.reshape(x.numel(), x.numel())
    close(flat, flat.mT, 1e-9)


@pytest.mark.parametrize("shape", [(3, 3), (2, 3)], ids=str)
@pytest.mark.parametrize("temperature", [1e-9, 0.7])
def test_many_levels(shape, temperature):
    x, direction = temperature * normal(*shape), temperature * normal(*shape, number=2)

    def along(function):
        return lambda t: torch.func.jvp(function, (t,), (torch.ones(()).double(),))[1]

    def soft(t):
        return sinkhorn(x + t * direction, temperature)

    zero = torch.zeros(()).double()
    third = torch.func.jacrev(torch.func.jacrev(torch.func.jacrev(soft)))(zero)
    close(along(along(along(soft)))(zero), third, 1e-7)
    close(along(along(soft))(zero), torch.func.jacrev(torch.func.jacrev(soft))(zero), 1e-8)
    masked = torch.zeros(shape, dtype=torch.float64)
    masked[0, 0] = -torch.inf

    def with_mask(t):
        return sinkhorn(x + t * direction + masked, temperature)

    twice = torch.func.jacrev(torch.func.jacrev(with_mask))(zero)
    close(along(along(with_mask))(zero), twice, 1e-8)


@pytest.mark.parametrize("shape", [(3, 3), (2, 3)], ids=str)
@pytest.mark.parametrize("forward", [2, 3, 4, 5])
def test_orders_of_nested_forward_mode(shape, forward):
    x, direction, weights = (normal(*shape, number=number) for number in (7, 2, 3))

    def loss(t):
        return (sinkhorn(x + t * direction) * weights).sum()

    def along(function):
        return lambda t: torch.func.jvp(function, (t,), (torch.ones(()).double(),))[1]

    zero = torch.zeros(()).double()
    for backward in (0, 1, 2):
        found = want = loss
        for _ in range(backward):
            found = torch.func.grad(found)
        for _ in range(forward):
            found = along(found)
        for _ in range(forward + backward):
            want = torch.func.grad(want)
        if forward + backward <= 5:
            close(found(zero), want(zero), 1e-6)


@pytest.mark.parametrize("shape", [(3, 3), (2, 3)], ids=str)
def test_of_samples_and_of_the_bound(shape):
    q = structure(*shape)
    x = normal(*shape)

    def soft(v):
        return q(v, 0.7).rsample((2,), generator=torch.Generator().manual_seed(3))

    forward = torch.func.jacfwd(soft, randomness="same")(x)
    close(forward, torch.func.jacrev(soft)(x), 1e-9)
    bound = torch.func.hessian(lambda v: q(v).kl_to_uniform())(0.1 * x)
    assert bool(bound.isfinite().all())
    assert bool(bound.abs().max() > 1e-3)
