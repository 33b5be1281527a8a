"""Control variates of REBAR and RELAX: lower variance, learned states, unbiased estimates."""

from __future__ import annotations

import copy

import pytest
import torch

import relaxit
from relaxit.errors import ShapeError
from relaxit.estimators.rebar import Rebar
from relaxit.estimators.reinforce import Reinforce
from relaxit.estimators.relax import RelaxEstimator
from tests.estimators.common.score_estimators import (
    CATEGORICAL,
    errors_off,
    estimates,
    exact_gradient,
)
from tests.helpers import params_for, seed

VARIATES = pytest.mark.parametrize(
    "estimator", [Rebar(), RelaxEstimator(), RelaxEstimator(rebar=False)], ids=repr
)


def quadratic(z):
    return ((z * torch.arange(4.0, dtype=z.dtype)).sum((-1, -2)) - 2.0) ** 2


def spread_of(estimator, params, state=None, temperature=0.5):
    found, _ = estimates(estimator, CATEGORICAL, params, quadratic, 4000, state, temperature)
    return float(found.var(0).sum())


def train(estimator, params, steps=60, rate=0.1):
    state = estimator.build_state(CATEGORICAL, len(params))
    optimiser = torch.optim.Adam(state.parameters(), lr=rate)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(steps):
            leaf = params.expand(100, *params.shape).clone().requires_grad_()
            value = estimator.surrogate(CATEGORICAL(leaf, 0.5), quadratic, None, state)
            optimiser.zero_grad()
            value.mean().backward()
            optimiser.step()
    return state.eval()


def test_rebar_varies_less_than_the_score_function():
    params = params_for(CATEGORICAL, 2, dtype=torch.float32)
    assert spread_of(Rebar(), params) < 0.8 * spread_of(Reinforce(), params)


@pytest.mark.parametrize("eta", [0.1, 5.0])
def test_eta_is_learned_from_either_side(eta):
    params = params_for(CATEGORICAL, 2, dtype=torch.float32)
    estimator = Rebar(eta=eta)
    state = train(estimator, params)
    grid = {e: spread_of(Rebar(eta=e), params) for e in (0.5, 0.7, 0.9, 1.1, 1.3)}
    learned = float(state.log_eta.detach().exp())
    assert abs(learned - min(grid, key=grid.get)) < 0.3
    assert spread_of(estimator, params, state) < 0.8 * spread_of(estimator, params)
    assert not list(Rebar(eta=eta, learn=False).build_state(CATEGORICAL, 2).parameters())


@pytest.mark.parametrize("options", [{}, {"rebar": False}], ids=repr)
def test_relax_learns_a_better_control_variate(options):
    params = params_for(CATEGORICAL, 2, dtype=torch.float32)
    estimator = RelaxEstimator(**options)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = train(estimator, params, steps=100, rate=0.03)
        fresh = estimator.build_state(CATEGORICAL, 2)
    assert spread_of(estimator, params, state) < 0.8 * spread_of(Rebar(), params)
    assert torch.equal(
        estimates(estimator, CATEGORICAL, params, quadratic, 20, fresh)[0],
        estimates(estimator, CATEGORICAL, params, quadratic, 20)[0],
    )  # a fresh network is 0


@VARIATES
def test_a_trained_state_leaves_the_estimate_unbiased(estimator):
    params = params_for(CATEGORICAL, 2, dtype=torch.float32)
    state = train(estimator, params, steps=20)
    exact, _ = exact_gradient(CATEGORICAL, params, quadratic)
    found, _ = estimates(estimator, CATEGORICAL, params, quadratic, 100_000, state)
    assert errors_off(found, exact) < 4


@VARIATES
def test_state_gets_the_gradient_of_the_square(estimator):
    # Against differences of the squared estimate on one noise, in units of the size it is told in.
    params = params_for(CATEGORICAL, 6, 2)
    state = estimator.build_state(CATEGORICAL, 2).double()
    for number, p in enumerate(state.parameters()):
        p.data = 0.5 * torch.randn(p.shape, generator=seed(number)).double()
    if isinstance(estimator, RelaxEstimator):
        state.moments.update(torch.tensor([1.0, 4.0]))

    def square():
        leaf = params.clone().requires_grad_()
        value = estimator.surrogate(CATEGORICAL(leaf, 0.7), quadratic, seed(1), state.eval())
        return float(torch.autograd.grad(value.sum(), leaf)[0].square().sum())

    kept = copy.deepcopy(state.state_dict())
    leaf = params.clone().requires_grad_()
    value = estimator.surrogate(CATEGORICAL(leaf, 0.7), quadratic, seed(1), state.train())
    slopes = torch.autograd.grad(value.sum(), list(state.parameters()))
    state.load_state_dict(kept)
    ratios = []
    for p, slope in zip(state.parameters(), slopes, strict=True):
        entry, step = tuple(0 for _ in p.shape), 1e-5
        ends = []
        for sign in (1, -2):
            p.data[entry] += sign * step
            ends.append(square())
        p.data[entry] += step
        ratios.append(float(slope[entry]) / ((ends[0] - ends[1]) / (2 * step)))
    assert ratios[0] > 0
    assert ratios == pytest.approx([ratios[0]] * len(ratios), rel=1e-4)


def test_a_state_for_other_variables_is_rejected():
    state = RelaxEstimator().build_state(CATEGORICAL, 3)
    q = CATEGORICAL(params_for(CATEGORICAL, 5, 2).requires_grad_())
    with pytest.raises(ShapeError, match=r"'relax'.*built for 12 perturbed scores.*there are 8"):
        RelaxEstimator().surrogate(q, quadratic, None, state)


def test_the_state_learns_the_same_whatever_the_sign_of_the_loss():
    # The variance is to fall, also where the surrogate is maximised.
    rebar, relaxation = relaxit.estimator("rebar"), relaxit.get("categorical", categories=3)
    slopes = []
    for sign in (1, -1):
        state = rebar.build_state(relaxation, variables=1)
        torch.manual_seed(1)
        q = relaxation(torch.tensor([[0.0, 1.0, -1.0]], requires_grad=True), 0.5)
        value = rebar.surrogate(q, lambda z: z[..., 0] ** 2 + 3, state=state)
        (sign * value).sum().backward()
        slopes.append([p.grad for p in state.parameters()])
    assert any(bool(slope.any()) for slope in slopes[0])
    for one, other in zip(*slopes, strict=True):
        assert torch.equal(one, other)
