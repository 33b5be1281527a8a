"""What relaxit's own relaxations keep beyond the laws of the conformance kit.

The kit (``relaxit.testing``, run on them in ``tests/testing``) states what every relaxation has to
keep; here are the tighter tolerances, the dtypes and the transforms that ours promise besides.
"""

from __future__ import annotations

import math
import shutil

import pytest
import torch
from torch.distributions import kl_divergence

import relaxit
from relaxit import PerturbAndRelax
from relaxit.dtypes import compute_dtype
from relaxit.errors import DomainError
from relaxit.testing import count_values, wrong_frequencies
from tests.helpers import DTYPES, TEMPERATURES, able, params_for, seed, structures

ALL = pytest.mark.parametrize("relaxation", structures(), ids=repr)
DENSITY = pytest.mark.parametrize("relaxation", able("density"), ids=repr)
DISCRETE = pytest.mark.parametrize("relaxation", able("discrete_distribution"), ids=repr)
EXACT = pytest.mark.parametrize(
    "relaxation",
    [r for r in able("discrete_distribution") if r.capabilities.exact_rounding],
    ids=repr,
)
DRAWS = 400_000


def support_of(relaxation):
    zeros = torch.zeros(relaxation.param_shape)
    return relaxation.discrete(zeros).enumerate_support()


def masses(relaxation, params):
    """Probability of every value, [values, *batch], worked out from the mass function."""
    distribution = relaxation.discrete(params)
    return distribution.log_prob(distribution.enumerate_support()).exp()


def nudged(relaxation, params):
    """Parameters under which the most probable value gains 2 % of its mass, roughly."""
    distribution = relaxation.discrete(params)
    top = distribution.mode
    leaf = params.clone().requires_grad_()
    (slope,) = torch.autograd.grad(relaxation.discrete(leaf).log_prob(top), leaf)
    return params + slope * 0.02 / slope.square().sum()


def test_there_is_something_to_test():
    assert len(able("density")) >= 3
    assert len(able("discrete_distribution")) >= 3


# --- discrete law -----------------------------------------------------------------------------


@DISCRETE
def test_variance_by_enumeration(relaxation):
    params = params_for(relaxation, 6) * 2
    distribution = relaxation.discrete(params)
    values, p = distribution.enumerate_support(), masses(relaxation, params)
    weight = p.reshape(*p.shape, *(1,) * len(relaxation.event_shape))
    spread = (weight * (values - distribution.mean) ** 2).sum(0)
    torch.testing.assert_close(distribution.variance, spread, rtol=0, atol=1e-12)


@DISCRETE
def test_discrete_expand_and_support_without_expand(relaxation):
    distribution = relaxation.discrete(params_for(relaxation, 3))
    big = distribution.expand((2, 3))
    assert torch.equal(big.mean, distribution.mean.expand(2, *distribution.mean.shape))
    assert big.sample((5,)).shape == (5, 2, 3, *relaxation.event_shape)
    thin = distribution.enumerate_support(expand=False)
    assert torch.equal(
        thin.expand_as(distribution.enumerate_support()), distribution.enumerate_support()
    )


# --- frequencies, alpha = 2e-5 a test ---------------------------------------------------------


@EXACT
@pytest.mark.parametrize("dtype", DTYPES)
def test_hard_frequencies_in_every_dtype(relaxation, dtype):
    # The vertex comes from float32 scores even where the soft value is bfloat16.
    params = params_for(relaxation, dtype=dtype)
    support = support_of(relaxation).to(dtype)
    observed = count_values(relaxation(params, 1.0).draw((DRAWS,), seed(5))[1], support)
    assert not wrong_frequencies(observed, masses(relaxation, params))
    other = masses(relaxation, nudged(relaxation, params.float()))
    assert wrong_frequencies(observed, other)


# --- every dtype, extreme parameters ----------------------------------------------------------


def extremes(relaxation, dtype):
    size = math.prod(relaxation.param_shape)
    signs = torch.tensor([[0.0] * size, [1e4] * size, [-1e4] * size, [1e4, -1e4] * size][:3])
    mixed = torch.tensor([1e4, -1e4, 0.0, 1e4, 3.0] * size)[: 2 * size].view(2, size)
    rows = torch.cat([signs, mixed]).to(dtype)
    return rows.reshape(-1, *relaxation.param_shape)


def no_nan(tensor):
    return not bool(tensor.isnan().any())


@ALL
@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_extremes(relaxation, dtype, temperature, as_tensor, device):
    if dtype not in relaxation.capabilities.dtypes:
        pytest.skip("dtype not claimed")
    params = extremes(relaxation, dtype).to(device).requires_grad_()
    tau = torch.tensor(temperature, dtype=dtype, device=device) if as_tensor else temperature
    q = relaxation(params, tau)
    soft, hard = q.draw((40,))
    other = q.rsample((40,))
    for value in (soft, other):
        assert value.dtype == dtype
        assert value.device.type == device.type
        assert bool(q.support.check(value).all())
        assert not bool(relaxation.vertices.check(value).any()), "a soft value on a vertex"
    assert hard.dtype == dtype
    assert hard.device.type == device.type
    assert bool(relaxation.vertices.check(hard).all())
    assert bool(relaxation.vertices.check(q.hard(soft)).all())

    wide = compute_dtype(dtype)
    results = [soft.float().square().sum()]
    if relaxation.capabilities.density:
        results.append(q.log_prob(soft.detach()))
    if relaxation.capabilities.log_space:
        x = q.log_space.rsample((40,))
        results += [q.log_space.log_prob(x.detach()), x.square().mean()]
        assert x.dtype == wide
    if relaxation.capabilities.discrete_distribution:
        results += [q.discrete.entropy(), q.kl_to_uniform()]
        results.append(kl_divergence(q.discrete, relaxation.discrete(params.detach().flip(0))))
        assert q.discrete.mean.dtype == dtype
        assert q.discrete.sample().dtype == dtype
    for result in results:
        assert result.dtype == wide or result is results[0]
        assert bool(result.isfinite().all())
        (slope,) = torch.autograd.grad(result.sum(), params, retain_graph=True)
        assert slope.dtype == dtype
        assert no_nan(slope)


@DENSITY
@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("temperature", [0.1, 0.3, 1.0, 30.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_short_dtypes_agree_with_float64(relaxation, dtype, temperature, as_tensor):
    # Same parameters, value and temperature, all of them numbers of the short dtype.
    params = params_for(relaxation, 50, dtype=dtype)
    tau = torch.tensor(temperature, dtype=dtype)
    value = relaxation(params, tau).sample((), seed(0))
    got = relaxation(params, tau if as_tensor else float(tau)).log_prob(value)
    # As a float64 vector the rounded value is off the support by more than float64 rounding.
    exact = relaxation(params.double(), float(tau), validate_args=False)
    want = exact.log_prob(value.double())
    torch.testing.assert_close(got, want.float(), rtol=2e-5, atol=2e-5)


@DISCRETE
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_discrete_scalars_of_short_dtypes_agree_with_float64(relaxation, dtype):
    params = params_for(relaxation, 50, dtype=dtype)
    short, wide = relaxation.discrete(params), relaxation.discrete(params.double())
    value = wide.sample()
    pairs = [
        (short.entropy(), wide.entropy()),
        (short.log_prob(value.to(dtype)), wide.log_prob(value)),
        (relaxation(params).kl_to_uniform(), relaxation(params.double()).kl_to_uniform()),
    ]
    for got, want in pairs:
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, want.float(), rtol=1e-5, atol=1e-5)


# --- sampling ---------------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize("given", [(), (1,), (3,), (2, 1), (2, 3)])
def test_temperature_of_every_shape_equals_the_loop(relaxation, given):
    params = params_for(relaxation, 2, 3)
    temperature = torch.rand(given, generator=seed(3), dtype=torch.float64) + 0.2
    full = temperature.expand(2, 3)
    q = relaxation(params, temperature)
    soft = q.rsample((4,), seed(1))
    for i in range(2):
        for j in range(3):
            one = relaxation(params, float(full[i, j]))
            torch.testing.assert_close(soft[:, i, j], one.rsample((4,), seed(1))[:, i, j])
            if relaxation.capabilities.density:
                alone = relaxation(params[i, j], float(full[i, j])).log_prob(soft[:, i, j])
                torch.testing.assert_close(q.log_prob(soft)[:, i, j], alone)
            if relaxation.capabilities.log_space:
                x = q.log_space.rsample((4,), seed(2))
                alone = relaxation(params[i, j], float(full[i, j])).log_space.log_prob(x[:, i, j])
                torch.testing.assert_close(q.log_space.log_prob(x)[:, i, j], alone)


@ALL
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_bad_temperature(relaxation, bad):
    for temperature in (bad, torch.tensor(bad), torch.tensor([1.0, bad])):
        with pytest.raises(DomainError):
            relaxation(params_for(relaxation, 2), temperature)


@ALL
def test_expand_keeps_every_quantity(relaxation):
    params = params_for(relaxation, 3)
    q = relaxation(params, torch.tensor([0.3, 0.5, 2.0]))
    big = q.expand((2, 3))
    value = q.rsample((2,), seed(0))
    if relaxation.capabilities.density:
        torch.testing.assert_close(big.log_prob(value), q.log_prob(value))
    if relaxation.capabilities.log_space:
        x = q.log_space.rsample((2,), seed(0))
        want = q.log_space.log_prob(x)
        torch.testing.assert_close(big.log_space.log_prob(x), want)
        torch.testing.assert_close(q.log_space.expand((2, 3)).log_prob(x), want)
    if relaxation.capabilities.discrete_distribution:
        assert torch.equal(big.discrete.entropy()[1], q.discrete.entropy())


@DENSITY
def test_a_vertex_has_no_density(relaxation):
    q = relaxation(params_for(relaxation, 3))
    with pytest.raises(DomainError, match=r"q\.discrete\.log_prob"):
        q.log_prob(q.sample_hard())


# --- gradients, vmap, compile -----------------------------------------------------------------


@ALL
def test_gradcheck(relaxation):
    params = params_for(relaxation, 2).requires_grad_()
    temperature = torch.tensor([0.6, 1.5], dtype=torch.float64, requires_grad=True)
    check = torch.autograd.gradcheck
    assert check(lambda a, t: relaxation(a, t).rsample((2,), seed(0)), (params, temperature))
    if relaxation.capabilities.density:
        value = relaxation(params.detach(), 1.0).sample((2,), seed(1)).requires_grad_()
        # A step of 1e-6 off the support is still a point of the formula.
        density = lambda a, t, y: relaxation(a, t, validate_args=False).log_prob(y)  # noqa: E731
        assert check(density, (params, temperature, value))
    if relaxation.capabilities.log_space:
        x = relaxation(params.detach()).log_space.rsample((2,), seed(2)).requires_grad_()
        assert check(
            lambda a, t, x: relaxation(a, t).log_space.log_prob(x), (params, temperature, x)
        )
    if relaxation.capabilities.discrete_distribution:
        assert check(lambda a: relaxation.discrete(a).entropy(), params)
        assert check(lambda a: relaxation(a).kl_to_uniform(), params)
        assert check(lambda a: relaxation.discrete(a).mean, params)
        hard = relaxation.discrete(params.detach()).sample((2,), generator=seed(3))
        assert check(lambda a: relaxation.discrete(a).log_prob(hard), params)
        other = params_for(relaxation, 2, number=9).requires_grad_()
        kl = lambda a, b: kl_divergence(relaxation.discrete(a), relaxation.discrete(b))  # noqa: E731
        assert check(kl, (params, other))


def quantities(relaxation):
    """Deterministic functions of (params, soft) that the relaxation claims."""
    found = [lambda a, y: relaxation(a, 0.5).hard(y)]
    if relaxation.capabilities.density:
        found.append(lambda a, y: relaxation(a, 0.5).log_prob(y))
    if relaxation.capabilities.discrete_distribution:
        found.append(lambda a, y: relaxation(a, 0.5).discrete.entropy())
        found.append(lambda a, y: relaxation(a, 0.5).kl_to_uniform())
        found.append(lambda a, y: relaxation(a, 0.5).discrete.mean)
        found.append(lambda a, y: relaxation(a, 0.5).discrete.mode)
        found.append(lambda a, y: relaxation.discrete(a).log_prob(relaxation.hard(y)))
    return found


@ALL
def test_vmap_equals_the_loop(relaxation):
    params = params_for(relaxation, 4)
    soft = relaxation(params, 0.5).sample((), seed(0))
    for function in quantities(relaxation):
        got = torch.func.vmap(function)(params, soft)
        want = torch.stack([function(a, y) for a, y in zip(params, soft, strict=True)])
        torch.testing.assert_close(got, want, rtol=1e-14, atol=1e-14)


@ALL
def test_vmap_over_per_row_temperature(relaxation):
    params = params_for(relaxation, 3)
    temperature = torch.tensor([0.3, 1.0, 4.0], dtype=torch.float64)
    sample = torch.func.vmap(lambda a, t: relaxation(a, t).rsample((2,)), randomness="same")
    torch.manual_seed(5)
    got = sample(params, temperature)
    for row, a, t in zip(got, params, temperature, strict=True):
        torch.manual_seed(5)
        torch.testing.assert_close(row, relaxation(a, t).rsample((2,)))


@ALL
@pytest.mark.parametrize("kind", ["rsample", "draw", "sample_hard"])
def test_vmap_over_sampling(relaxation, kind):
    params = params_for(relaxation, 6).expand(6, *relaxation.param_shape)
    params = params[:1].expand_as(params)  # equal rows: only the noise can tell them apart

    def draw(a):
        value = getattr(relaxation(a, 0.5), kind)((50,))
        return value[1] if kind == "draw" else value

    same = torch.func.vmap(draw, randomness="same")(params)
    other = torch.func.vmap(draw, randomness="different")(params)
    assert same.shape == other.shape == (6, 50, *relaxation.event_shape)
    torch.manual_seed(5)
    want = draw(params[0])
    torch.manual_seed(5)
    torch.testing.assert_close(torch.func.vmap(draw, randomness="same")(params)[3], want)
    assert torch.equal(same, same[:1].expand_as(same))
    assert not torch.equal(other[0], other[1])
    legal = relaxation.support if kind == "rsample" else relaxation.vertices
    assert bool(legal.check(same).all())
    assert bool(legal.check(other).all())


@EXACT
def test_vmapped_draws_have_the_right_distribution(relaxation):
    # alpha = 2e-5. 'different' must be independent between rows, not only unequal.
    params = params_for(relaxation, dtype=torch.float32)
    rows = params.expand(400, *relaxation.param_shape)
    draw = torch.func.vmap(lambda a: relaxation(a).draw((1000,))[1], randomness="different")
    values = draw(rows).reshape(-1, *relaxation.event_shape)
    observed = count_values(values, support_of(relaxation))
    assert not wrong_frequencies(observed, masses(relaxation, params))
    assert wrong_frequencies(observed, masses(relaxation, nudged(relaxation, params)))


COMPILES = pytest.mark.parametrize("relaxation", able("compiles"), ids=repr)


@COMPILES
def test_compiled_equals_eager(relaxation):
    def everything(params, temperature):
        q = relaxation(params, temperature)
        soft, hard = q.draw((2,))
        found = [soft, hard, q.rsample(), q.sample_hard(), q.hard(soft)]
        if relaxation.capabilities.density:
            found.append(q.log_prob(soft.detach()))
        if relaxation.capabilities.log_space:
            x = q.log_space.rsample((2,))
            found += [x, q.log_space.log_prob(x)]
        if relaxation.capabilities.discrete_distribution:
            found += [q.discrete.entropy(), q.kl_to_uniform(), q.discrete.mean, q.discrete.mode]
            found.append(q.discrete.log_prob(hard))
            found.append(kl_divergence(q.discrete, relaxation.discrete(params.detach() * 2)))
        return found

    def run(function):
        params = params_for(relaxation, 3, dtype=torch.float32).requires_grad_()
        torch.manual_seed(1)
        found = function(params, torch.tensor([0.3, 1.0, 4.0]))
        total = sum(x.sum() for x in found if x.requires_grad)
        return [*found, *torch.autograd.grad(total, params)]

    torch.compiler.reset()
    compiled = torch.compile(everything, fullgraph=True, backend="aot_eager")
    for got, want in zip(run(compiled), run(everything), strict=True):
        torch.testing.assert_close(got, want)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="the inductor needs a C++ compiler")
@pytest.mark.parametrize(
    "relaxation", [r for r in able("compiles") if isinstance(r, PerturbAndRelax)][-2:], ids=repr
)
def test_inductor_equals_eager(relaxation):
    torch.compiler.reset()
    scores = relaxation.perturb(params_for(relaxation, 3, dtype=torch.float32), torch.Size([2]))
    got = torch.compile(relaxation.relax, fullgraph=True)(scores, torch.tensor(0.5))
    torch.testing.assert_close(got, relaxation.relax(scores, torch.tensor(0.5)))


@pytest.mark.parametrize("name", ["categorical", "binary"])
def test_kl_of_a_nearly_uniform_distribution_keeps_its_gradient(name):
    """Rounding may make the value negative there; it may not switch the gradient off."""
    relaxation = relaxit.get(name, **({"categories": 10} if name == "categorical" else {}))
    params = 1e-4 * torch.randn(500, *relaxation.param_shape)
    single, double = params.requires_grad_(), params.detach().double().requires_grad_()
    for p in (single, double):
        relaxation.kl_to_uniform(p).sum().backward()
    share = (single.grad != 0).double().mean()
    assert share > 0.9
    assert torch.allclose(single.grad.double(), double.grad, atol=2e-6)
