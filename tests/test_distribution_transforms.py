"""Our own relaxations under autograd, vmap and compilers."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch.distributions import kl_divergence

from relaxit import PerturbAndRelax
from relaxit.testing import count_values, wrong_frequencies
from tests.helpers import params_for, relaxations_with, seed
from tests.own_relaxations import ALL, COMPILES, EXACT, masses, nudged, support_of


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
    "relaxation",
    [r for r in relaxations_with("compiles") if isinstance(r, PerturbAndRelax)][-2:],
    ids=repr,
)
def test_inductor_equals_eager(relaxation):
    torch.compiler.reset()
    scores = relaxation.perturb(params_for(relaxation, 3, dtype=torch.float32), torch.Size([2]))
    got = torch.compile(relaxation.relax, fullgraph=True)(scores, torch.tensor(0.5))
    torch.testing.assert_close(got, relaxation.relax(scores, torch.tensor(0.5)))
