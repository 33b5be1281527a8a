"""Gradients of the built-in estimators against autograd and enumeration."""

from __future__ import annotations

import pytest
import torch

import relaxit
from relaxit import RelaxedDistribution, SampleEstimator
from relaxit.autograd import replace_gradient
from relaxit.errors import ShapeError, Unsupported
from relaxit.estimators.pathwise import Pathwise
from relaxit.estimators.st_gumbel import StraightThroughGumbel
from relaxit.estimators.straight_through import StraightThrough
from tests.helpers import DTYPES, able, params_for, seed, structures
from tests.test_relaxation import Rows

BUILT_IN = [Pathwise(), StraightThrough(), StraightThroughGumbel()]
ALL = pytest.mark.parametrize("relaxation", structures(), ids=repr)
DISCRETE = pytest.mark.parametrize("relaxation", able("discrete_distribution"), ids=repr)
EACH = pytest.mark.parametrize("estimator", BUILT_IN, ids=lambda e: e.name)
HARD = pytest.mark.parametrize("estimator", BUILT_IN[1:], ids=lambda e: e.name)


def usable(estimator, relaxation):
    try:
        estimator.check(relaxation)
    except Unsupported as error:
        pytest.skip(str(error))


def weights_for(relaxation):
    return torch.randn(relaxation.event_shape, generator=seed(11), dtype=torch.float64) + 0.5


def power_cost(relaxation, power):
    """(w.z + 1/4) ** power of each value of a batch: linear, quadratic or cubic in z."""
    weights, rank = weights_for(relaxation), len(relaxation.event_shape)

    def cost(z):
        dot = (weights.to(z.dtype) * z).flatten(z.dim() - rank).sum(-1) if rank else weights * z
        return (dot + 0.25) ** power

    return cost


def test_they_are_registered():
    for estimator in BUILT_IN:
        assert relaxit.estimator(estimator.name) == estimator
        assert isinstance(estimator, SampleEstimator)
    assert [e.hard for e in BUILT_IN] == [False, True, True]


# --- values -----------------------------------------------------------------------------------


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


def test_sum_and_difference_would_miss_the_vertex():
    # The reason for a function of its own: what the usual one-liner gives in bfloat16.
    q = relaxit.get("categorical", categories=5)(torch.randn(500, 5, dtype=torch.bfloat16))
    soft, hard = q.draw()
    assert not bool(relaxit.constraints.one_hot.check(hard + soft - soft.detach()).all())
    assert bool(relaxit.constraints.one_hot.check(replace_gradient(hard, soft)).all())


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


# --- pathwise ---------------------------------------------------------------------------------


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


# --- straight-through, by enumeration ---------------------------------------------------------


def exact_and_expected(relaxation, cost, temperature, monkeypatch):
    """The gradient of the expected cost, and the expectation of the estimate of it."""
    params = params_for(relaxation).requires_grad_()
    distribution = relaxation.discrete(params)
    vertices = distribution.enumerate_support()
    mass = distribution.log_prob(vertices).exp()
    (exact,) = torch.autograd.grad((mass * cost(vertices)).sum(), params)
    expected = torch.zeros_like(params)
    for p, vertex in zip(mass.detach(), vertices, strict=True):
        monkeypatch.setattr(RelaxedDistribution, "sample_hard", lambda *_, v=vertex: v)
        value = StraightThrough().surrogate(relaxation(params, temperature), cost)
        assert float(value.detach()) == float(cost(vertex))
        expected += p * torch.autograd.grad(value, params)[0]
    return exact, expected


@DISCRETE
def test_straight_through_is_unbiased_for_linear_costs(relaxation, monkeypatch):
    cost = power_cost(relaxation, 1)
    exact, expected = exact_and_expected(relaxation, cost, 1.0, monkeypatch)
    torch.testing.assert_close(expected, exact, rtol=0, atol=1e-12)


@DISCRETE
def test_straight_through_is_biased_otherwise(relaxation, monkeypatch):
    # So that the test above is known to see a bias: a cubic cost, or another temperature.
    for cost, temperature in ((power_cost(relaxation, 3), 1.0), (power_cost(relaxation, 1), 1.3)):
        exact, expected = exact_and_expected(relaxation, cost, temperature, monkeypatch)
        assert float((expected - exact).norm() / exact.norm()) > 0.02


@DISCRETE
@pytest.mark.parametrize("temperature", [0.5, 1.0, torch.tensor([0.5, 1.0, 4.0])])
def test_straight_through_is_the_jacobian_of_the_cooled_marginals(relaxation, temperature):
    cost = power_cost(relaxation, 3)
    params = params_for(relaxation, 3).requires_grad_()
    value = StraightThrough().surrogate(relaxation(params, temperature), cost, seed(1))
    (got,) = torch.autograd.grad(value.sum(), params)
    hard = relaxation(params, temperature).sample_hard((), seed(1)).requires_grad_()
    (upstream,) = torch.autograd.grad(cost(hard).sum(), hard)
    rows = torch.as_tensor(temperature, dtype=torch.float64).expand(3)
    rows = rows.reshape(3, *(1,) * len(relaxation.param_shape))
    marginals = relaxation.discrete(params / rows).mean
    (want,) = torch.autograd.grad(marginals, params, upstream)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-14)


# --- straight-through Gumbel ------------------------------------------------------------------


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


# --- refusals, transforms, compile ------------------------------------------------------------


def test_missing_discrete_distribution_names_another_estimator():
    bare = Rows()
    q = bare(torch.zeros(2, 3))
    for call in (
        lambda: StraightThrough().check(bare),
        lambda: StraightThrough().sample(q),
        lambda: StraightThrough().surrogate(q, torch.sum),
    ):
        with pytest.raises(Unsupported, match=r"straight-through.*test-rows.*try 'st-gumbel'"):
            call()
    for estimator in (Pathwise(), StraightThroughGumbel()):
        estimator.check(bare)
        assert estimator.sample(q).shape == (2, 3)


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


@DISCRETE
def test_vmap_with_noise_of_its_own_in_each_row(relaxation):
    # A linear cost: the straight-through gradient does not depend on the draw.
    params = params_for(relaxation, 5)
    cost = power_cost(relaxation, 1)
    grad = torch.func.grad(lambda a: StraightThrough().surrogate(relaxation(a), cost))
    got = torch.func.vmap(grad, randomness="different")(params)
    leaf = params.clone().requires_grad_()
    (want,) = torch.autograd.grad(cost(relaxation.discrete(leaf).mean).sum(), leaf)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-14)


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


def test_through_passes_one_value_and_the_other_gradient():
    hard = torch.tensor([0.0, 1.0], requires_grad=True)
    soft = torch.tensor([0.3, 0.7], requires_grad=True)
    z = replace_gradient(hard, soft)
    assert torch.equal(z, hard)
    assert z.data_ptr() != hard.data_ptr()
    (z * torch.tensor([2.0, 5.0])).sum().backward()
    assert soft.grad.tolist() == [2, 5]
    assert hard.grad is None


@EACH
@pytest.mark.parametrize("relaxation", able("compiles"), ids=repr)
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
