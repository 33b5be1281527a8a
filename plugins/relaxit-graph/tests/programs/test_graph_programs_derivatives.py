"""First and second derivatives, compared with those of the sums over all values."""

from __future__ import annotations

import pytest
import torch
from sequence_oracles import ALL, INF, PERTURBED, SOME, close, dtypes, listing, normal
from torch.autograd import grad, gradcheck, gradgradcheck
from torch.distributions import kl_divergence

MASKS = pytest.mark.parametrize("number", [None, 1, 2, 3])
QUANTITIES = ("mean", "entropy", "kl", "kl to uniform", "log-mass")


def quantity(name, relaxation, params):
    """A quantity as the code has it, and as a sum over all values."""
    known, other = listing(relaxation), normal(*relaxation.param_shape, number=3)
    q = relaxation.discrete(params)
    if name == "mean":
        return q.mean, known.mean(params)
    if name == "entropy":
        return q.entropy(), entropy(known, params)
    if name == "kl":
        p = relaxation.discrete(other.expand_as(params))
        wanted = -entropy(known, params) - (known.mean_score(params, other))
        return kl_divergence(q, p), wanted + known.log_partition(other)
    if name == "kl to uniform":
        return relaxation.kl_to_uniform(params), relaxation.log_cardinality - entropy(known, params)
    chosen = known.log_masses(params.detach()).argmax(-1)
    index = chosen.unsqueeze(-1)
    wanted = known.log_masses(params).gather(-1, index).squeeze(-1)
    return q.log_prob(known.values[chosen]), wanted


def entropy(known, params):
    log_p = known.log_masses(params)
    return -(log_p.exp() * torch.where(log_p > -INF, log_p, 0.0)).sum(-1)


def both_orders(value, leaf):
    """A gradient, and that of a product with it."""
    (first,) = grad((value * normal(*value.shape, number=5)).sum(), leaf, create_graph=True)
    if not first.requires_grad:  # there is one value only
        return first, torch.zeros_like(first)
    (second,) = grad((first * normal(*first.shape, number=6)).sum(), leaf, materialize_grads=True)
    return first.detach(), second


def params_of(relaxation, number):
    x = 1.5 * normal(2, *relaxation.param_shape)
    return x if number is None else listing(relaxation).masked(x, number)


@ALL
@MASKS
@pytest.mark.parametrize("name", QUANTITIES)
def test_both_orders_by_enumeration(relaxation, number, name):
    leaf = params_of(relaxation, number).requires_grad_()
    got, wanted = quantity(name, relaxation, leaf)
    close(got.detach(), wanted.detach())
    for one, other in zip(both_orders(got, leaf), both_orders(wanted, leaf), strict=True):
        assert bool(one.isfinite().all())
        close(one, other, 1e-11)


@PERTURBED
@MASKS
@pytest.mark.parametrize("temperature", [0.4, 3.0])
def test_both_orders_of_a_relaxed_value(relaxation, number, temperature):
    leaf = params_of(relaxation, number).requires_grad_()
    got = relaxation.relax(leaf, temperature)
    wanted = listing(relaxation).mean(leaf / temperature)
    for one, other in zip(both_orders(got, leaf), both_orders(wanted, leaf), strict=True):
        assert bool(one.isfinite().all())
        close(one, other, 1e-10)


@SOME
@pytest.mark.parametrize("number", [None, 1])
def test_finite_differences(relaxation, number):
    params = params_of(relaxation, number)[0]
    free = (params > -INF).nonzero(as_tuple=True)

    def functions(numbers):
        x = params.index_put(free, numbers)
        q = relaxation.discrete(x)
        return q.mean, q.entropy(), q.log_prob(q.mode.detach())

    numbers = params[free].clone().requires_grad_()
    assert gradcheck(functions, numbers, fast_mode=True)
    assert gradgradcheck(functions, numbers, fast_mode=True)


@PERTURBED
def test_gradient_of_a_relaxed_value_in_the_temperature(relaxation):
    scores = normal(2, *relaxation.param_shape)
    temperature = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    weights = normal(2, *relaxation.event_shape, number=4)
    (got,) = grad((relaxation.relax(scores, temperature) * weights).sum(), temperature)
    wanted = (listing(relaxation).mean(scores / temperature) * weights).sum()
    close(got, grad(wanted, temperature)[0])


@SOME
@dtypes
@pytest.mark.parametrize("scale", [1.0, 60.0, 1e4])
def test_gradients_of_large_params_are_finite(relaxation, dtype, scale):
    leaf = (scale * normal(3, *relaxation.param_shape)).to(dtype).requires_grad_()
    q = relaxation.discrete(leaf)
    soft = relaxation(leaf, temperature=0.1).rsample()
    value = q.entropy().sum() + q.mean.square().sum() + soft.square().sum()
    (slope,) = grad(value, leaf)
    assert slope.dtype == dtype
    assert bool(slope.isfinite().all())


@SOME
def test_a_value_that_is_excluded_has_no_mass_and_no_gradient(relaxation):
    known = listing(relaxation)
    params = normal(*relaxation.param_shape)
    used = known.statistics[0].reshape(relaxation.param_shape).bool()
    first = used.nonzero()[-1]
    params[tuple(first)] = -INF
    if not bool(relaxation.valid_params(params)):
        pytest.skip("all values use it")
    leaf = params.requires_grad_()
    mass = relaxation.discrete(leaf).log_prob(known.values[0])
    assert float(mass) == -INF
    (slope,) = grad(relaxation.discrete(leaf).log_prob(known.values).exp().sum(), leaf)
    close(slope, torch.zeros_like(slope))


@SOME
def test_params_that_need_no_gradient_get_none(relaxation):
    params = normal(3, *relaxation.param_shape)
    q = relaxation.discrete(params)
    assert not q.mean.requires_grad
    leaf = params.clone().requires_grad_()
    with torch.no_grad():
        mean = relaxation.discrete(leaf).mean
        entropy_ = relaxation.discrete(leaf).entropy()
    assert not mean.requires_grad
    assert not entropy_.requires_grad
    close(mean, q.mean)
    assert not relaxation.discrete(leaf).sample().requires_grad
    assert not relaxation.discrete(leaf).mode.requires_grad
    assert relaxation.discrete(leaf).mean.requires_grad
    assert leaf.grad is None  # nothing was accumulated on the way
