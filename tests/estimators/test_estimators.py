"""Values and gradients of pathwise, straight-through and straight-through Gumbel."""

from __future__ import annotations

import pytest
import torch

import relaxit
from relaxit import SampleEstimator
from relaxit.errors import ShapeError, Unsupported
from relaxit.estimators.pathwise import Pathwise
from relaxit.estimators.st_gumbel import StraightThroughGumbel
from relaxit.estimators.straight_through import StraightThrough
from relaxit.plugins import default_registry
from tests.estimators.costs import power_cost
from tests.helpers import DTYPES, params_for, seed
from tests.own_relaxations import ALL, COMPILES

BUILT_IN = [Pathwise(), StraightThrough(), StraightThroughGumbel()]
EACH = pytest.mark.parametrize("estimator", BUILT_IN, ids=lambda e: e.name)


def usable(estimator, relaxation):
    try:
        estimator.check(relaxation)
    except Unsupported as error:
        pytest.skip(str(error))


def test_they_are_registered():
    for estimator in BUILT_IN:
        assert relaxit.estimator(estimator.name) == estimator
        assert isinstance(estimator, SampleEstimator)
    assert [e.hard for e in BUILT_IN] == [False, True, True]


def test_other_names_are_those_of_one_estimator():
    registered = default_registry().items("estimator")
    aliases = [(alias, cls) for cls in registered.values() for alias in cls.aliases]
    assert len({alias for alias, _ in aliases}) == len(aliases) > 15
    assert not {alias for alias, _ in aliases} & set(registered)
    for alias, cls in aliases:
        assert type(relaxit.estimator(alias)) is cls


@ALL
@EACH
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
def test_values(relaxation, estimator, dtype, temperature, device):
    usable(estimator, relaxation)
    params = params_for(relaxation, 50, dtype=dtype).to(device).requires_grad_()
    z = estimator.sample(relaxation(params, temperature), (3,))
    assert z.shape == (3, 50, *relaxation.event_shape)
    assert z.dtype == dtype
    assert z.device.type == device.type
    assert z.requires_grad
    legal = relaxation.vertices if estimator.hard else relaxation.support
    assert bool(legal.check(z).all())
    if not estimator.hard:
        assert not bool(relaxation.vertices.check(z).any())
    (slope,) = torch.autograd.grad(z.float().square().sum(), params)
    assert slope.dtype == dtype
    assert bool(slope.isfinite().all())
    assert float(slope.abs().sum()) > 0


@ALL
@EACH
def test_seed_decides_the_sample(relaxation, estimator):
    usable(estimator, relaxation)
    q = relaxation(params_for(relaxation, 30), 0.5)
    before = torch.get_rng_state()
    assert torch.equal(estimator.sample(q, (2,), seed(1)), estimator.sample(q, (2,), seed(1)))
    assert not torch.equal(estimator.sample(q, (2,), seed(1)), estimator.sample(q, (2,), seed(2)))
    assert torch.equal(before, torch.get_rng_state())


@ALL
@EACH
def test_surrogate_is_the_cost_of_the_sample(relaxation, estimator):
    usable(estimator, relaxation)
    q = relaxation(params_for(relaxation, 4, 3), 0.5)
    per_value = power_cost(relaxation, 2)
    z = estimator.sample(q, generator=seed(1))
    got = estimator.surrogate(q, per_value, seed(1))
    assert got.shape == (4, 3)
    assert torch.equal(got, per_value(z))
    lead = estimator.surrogate(q, lambda z: per_value(z).sum(-1), seed(1))
    assert lead.shape == (4,)
    assert torch.equal(lead, per_value(z).sum(-1))


@ALL
@pytest.mark.parametrize("power", [1, 3])
def test_pathwise_is_the_derivative_of_the_seeded_sample(relaxation, power):
    cost = power_cost(relaxation, power)
    params = params_for(relaxation, 4).requires_grad_()

    def surrogate(a):
        return Pathwise().surrogate(relaxation(a, 0.7), cost, seed(1))

    assert torch.autograd.gradcheck(surrogate, params)  # against finite differences
    (got,) = torch.autograd.grad(surrogate(params).sum(), params)
    soft = relaxation(params, 0.7).rsample((), seed(1))
    (want,) = torch.autograd.grad(cost(soft).sum(), params)
    assert torch.equal(got, want)


@ALL
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_st_gumbel_is_the_pathwise_jacobian_at_the_hard_point(relaxation, temperature):
    cost = power_cost(relaxation, 3)
    params = params_for(relaxation, 4).requires_grad_()
    q = relaxation(params, temperature)
    (got,) = torch.autograd.grad(StraightThroughGumbel().surrogate(q, cost, seed(1)).sum(), params)

    def jacobian_times(point, noise_seed):
        point = point.detach().requires_grad_()
        (upstream,) = torch.autograd.grad(cost(point).sum(), point)
        soft = q.rsample((), seed(noise_seed))
        return torch.autograd.grad(soft, params, upstream)[0]

    soft, hard = q.draw((), seed(1))
    torch.testing.assert_close(got, jacobian_times(hard, 1), rtol=1e-12, atol=1e-14)
    # Neither the soft point nor other noise would do.
    for wrong in (jacobian_times(soft, 1), jacobian_times(hard, 2)):
        assert float((got - wrong).norm() / got.norm()) > 0.01


def test_shapes_are_checked_as_ever():
    with pytest.raises(ShapeError):
        Pathwise().sample(relaxit.get("categorical", categories=3)(torch.zeros(4)))


@ALL
@EACH
def test_vmap_of_grad(relaxation, estimator):
    usable(estimator, relaxation)
    params = params_for(relaxation, 5)
    cost = power_cost(relaxation, 2)

    def loss(a):
        return estimator.surrogate(relaxation(a, 0.7), cost)

    def loop(a):
        torch.manual_seed(5)
        leaf = a.clone().requires_grad_()
        return torch.autograd.grad(loss(leaf), leaf)[0]

    torch.manual_seed(5)
    got = torch.func.vmap(torch.func.grad(loss), randomness="same")(params)
    torch.testing.assert_close(got, torch.stack([loop(a) for a in params]))
    other = torch.func.vmap(torch.func.grad(loss), randomness="different")(params)
    assert other.shape == params.shape
    assert bool(other.isfinite().all())


@ALL
@EACH
def test_double_backward(relaxation, estimator):
    usable(estimator, relaxation)
    params = params_for(relaxation, 3).requires_grad_()
    value = estimator.surrogate(relaxation(params, 0.7), power_cost(relaxation, 2), seed(1))
    (first,) = torch.autograd.grad(value.sum(), params, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), params)
    assert bool(second.isfinite().all())
    assert float(second.abs().sum()) > 0


@EACH
@COMPILES
def test_compiled_equals_eager(relaxation, estimator):
    usable(estimator, relaxation)
    cost = power_cost(relaxation, 3)

    def step(params, temperature):
        return estimator.surrogate(relaxation(params, temperature), cost)

    def run(function):
        torch.manual_seed(1)
        params = params_for(relaxation, 4).requires_grad_()
        value = function(params, torch.tensor(0.5, dtype=torch.float64))
        return value, torch.autograd.grad(value.sum(), params)[0]

    torch.compiler.reset()
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    for got, want in zip(run(compiled), run(step), strict=True):
        torch.testing.assert_close(got, want)
