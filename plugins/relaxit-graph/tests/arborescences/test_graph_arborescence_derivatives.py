"""Derivatives of log Z, marginals and entropy: finite differences, masks, modes of execution."""

from __future__ import annotations

import pytest
import torch
from arborescence_oracles import INF, ROOTS, enumerated, legal_masks, normal
from torch.autograd import gradcheck, gradgradcheck

from relaxit_graph.arborescences.arborescence import Arborescence
from relaxit_graph.arborescences.partition import partition


def structure(n, single):
    return Arborescence(nodes=n, roots="single" if single else "multiple")


def on_the_allowed(function, params):
    """The same function of the entries that are not masked, and these entries."""
    allowed = params > -INF
    place = allowed.flatten().nonzero().squeeze(-1)

    def of_entries(entries):
        full = torch.full((params.numel(),), -INF, dtype=torch.float64)
        return function(full.scatter(0, place, entries).view(params.shape))

    return of_entries, params[allowed].clone().requires_grad_()


@ROOTS
@pytest.mark.parametrize("n", [1, 2, 3])
def test_first_and_second_derivatives(n, single):
    trees_of = structure(n, single)
    for params in (normal(1, n, n), legal_masks(n, 1, single, number=3)):
        for function in (
            lambda x: partition(x, single)[0],
            lambda x: partition(x, single)[1].sum(-1),
            lambda x: trees_of(x).discrete.entropy(),
        ):
            of_entries, entries = on_the_allowed(function, params)
            assert gradcheck(of_entries, entries, atol=1e-7)
        of_entries, entries = on_the_allowed(lambda x: partition(x, single)[0], params)
        assert gradgradcheck(of_entries, entries, atol=1e-6)


@ROOTS
@pytest.mark.parametrize("n", [3, 5])
def test_derivatives_are_those_of_the_sum_over_all_trees(n, single):
    masked = legal_masks(n, 6, single)
    params = torch.cat([normal(6, n, n), 6 * normal(6, n, n, number=1), masked]).requires_grad_()
    weight = normal(n, n, number=2)

    def derivatives(of_params):
        log_z, marginals = of_params(params, single)[:2]
        first = torch.autograd.grad(log_z.sum(), params, create_graph=True)[0]
        second = torch.autograd.grad((first * weight).sum(), params, retain_graph=True)[0]
        again = torch.autograd.grad((marginals * weight).sum(), params)[0]
        return first, second, again

    for got, want in zip(derivatives(partition), derivatives(_by_enumeration), strict=True):
        assert got.isfinite().all()
        assert (got - want).abs().max() < 1e-12
        assert (got[params == -INF] == 0).all()


def _by_enumeration(params, single):
    # The oracle's own derivative is NaN at masked entries, which no tree uses.
    finite = torch.where(params == -INF, -1e4, params)
    return enumerated(finite, single)


@ROOTS
def test_samples_of_masked_params_have_finite_gradients(single):
    for size, temperature in ((1.0, 0.5), (50.0, 0.1), (1e4, 1e-3)):
        params = (size * legal_masks(5, 30, single)).requires_grad_()
        tau = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
        soft = structure(5, single)(params, tau).rsample((3,))
        slopes = torch.autograd.grad((soft * normal(5, 5)).sum(), (params, tau))
        assert all(slope.isfinite().all() for slope in slopes)
        assert (slopes[0][params == -INF] == 0).all()


@ROOTS
def test_transforms_agree(single):
    masked = legal_masks(4, 3, single)
    params, along = torch.cat([normal(3, 4, 4), masked]), normal(6, 4, 4, number=1)

    def marginals(x):
        return partition(x, single)[1]

    want = marginals(params)
    assert torch.allclose(torch.vmap(marginals)(params), want, rtol=0, atol=1e-12)
    change = torch.func.jvp(marginals, (params,), (along,))[1]
    back = torch.func.vjp(marginals, params)[1](along)[0]
    assert torch.allclose(change, back, rtol=0, atol=1e-12)  # the Hessian of log Z is symmetric
    one = torch.func.grad(lambda x: partition(x, single)[0])
    assert torch.allclose(torch.vmap(one)(params), want, rtol=0, atol=1e-12)
    turned = torch.func.jvp(
        lambda x: torch.func.jvp(marginals, (x,), (along,))[1], (params,), (along,)
    )
    assert turned[1].isfinite().all()
