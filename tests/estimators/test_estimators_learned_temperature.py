"""A learned temperature gets the gradient of the soft value that the estimator differentiates."""

from __future__ import annotations

import pytest
import torch

import relaxit
from relaxit.errors import Unsupported
from relaxit.estimators.common.marginals import marginals
from relaxit.estimators.gapped_st import with_gap
from relaxit.estimators.reinmax import shifted_logits
from relaxit.plugins import default_registry
from tests.estimators.draw_estimators import GROUND, drawn
from tests.helpers import params_for, seed, structures

NAMES = ["st-gumbel", "straight-through", "gapped-st", "gumbel-rao", "decoupled-st-gumbel"]
LEARN = {"pathwise", "reinmax-rao", *NAMES}
"""Estimators that give the temperature a gradient; for the others it is a constant."""
REGISTERED = [
    min(cls.examples(), key=lambda r: torch.Size(r.param_shape).numel())
    for cls in default_registry().items("relaxation").values()
]
EVERY = pytest.mark.parametrize("relaxation", REGISTERED, ids=repr)
TAU = 0.7


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("relaxation", structures(), ids=repr)
def test_transform_and_autograd_agree(relaxation, name):
    # Many more draws than categories, so that gumbel-rao could take its short way.
    options = {"draws": 20} if name == "gumbel-rao" else {}
    estimator = relaxit.estimator(name, **options)
    params = params_for(relaxation, 6)

    def loss(tau):
        q = relaxation(params, tau)
        return estimator.surrogate(q, lambda z: (z * (z + 2)).sum(), seed(1)).sum()

    tau = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    (want,) = torch.autograd.grad(loss(tau), tau)
    got = torch.func.grad(loss)(tau.detach())
    assert float(want.abs()) > 1e-3
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)


def weigh(relaxation, z):
    """A linear cost ``[rows]``, whose slope is the same at hard and at soft values."""
    weights = torch.randn(relaxation.event_shape, generator=seed(11), dtype=torch.float64) + 0.5
    terms = weights * z
    return terms.flatten(1).sum(-1) if terms.dim() > 1 else terms


def slope_in_temperature(estimator, relaxation, params):
    """Gradient in the temperature of each row; None if none arrives."""
    tau = torch.full((len(params),), TAU, dtype=torch.float64, requires_grad=True)
    q = relaxation(params.clone().requires_grad_(), tau)
    value = estimator.surrogate(q, lambda z: weigh(relaxation, z), seed(1))
    return torch.autograd.grad(value.sum(), tau, allow_unused=True)[0]


def difference(soft, step=1e-5):
    """Central difference in the temperature of a cost of a soft value."""
    return (soft(TAU + step) - soft(TAU - step)) / (2 * step)


@EVERY
@pytest.mark.parametrize("name", sorted(default_registry().items("estimator")))
def test_a_gradient_arrives_or_the_temperature_is_a_constant(relaxation, name):
    estimator = relaxit.estimator(name)
    try:
        estimator.check(relaxation)
    except Unsupported as error:
        pytest.skip(str(error))
    tau = torch.tensor(TAU, dtype=torch.float64, requires_grad=True)
    q = relaxation(params_for(relaxation, 6).requires_grad_(), tau)
    more = {} if name not in ("reinforce", "rebar", "relax") else {"state": None}
    value = estimator.surrogate(q, lambda z: weigh(relaxation, z), seed(1), **more).sum()
    (slope,) = torch.autograd.grad(value, tau, allow_unused=True)
    assert (slope is not None) == (name in LEARN)
    assert slope is None or float(slope.abs()) > 0


@EVERY
@pytest.mark.parametrize("name", ["pathwise", "st-gumbel", "decoupled-st-gumbel"])
def test_the_gradient_is_that_of_the_soft_sample(relaxation, name):
    estimator = relaxit.estimator(name)
    try:
        estimator.check(relaxation)
    except Unsupported as error:
        pytest.skip(str(error))
    params = params_for(relaxation, 6)
    got = slope_in_temperature(estimator, relaxation, params)
    want = difference(lambda tau: weigh(relaxation, relaxation(params, tau).rsample((), seed(1))))
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-7)


@EVERY
def test_the_gradient_of_straight_through_is_that_of_the_tempered_mean(relaxation):
    if not relaxation.capabilities.discrete_distribution:
        pytest.skip("no discrete distribution")
    params = params_for(relaxation, 6)
    got = slope_in_temperature(relaxit.estimator("straight-through"), relaxation, params)
    want = difference(lambda tau: weigh(relaxation, relaxation.discrete(params / tau).mean))
    torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-8)


@GROUND
@pytest.mark.parametrize("name", ["gapped-st", "gumbel-rao", "reinmax-rao"])
def test_the_gradient_given_a_draw_is_that_of_its_soft_value(relaxation, name):
    params, kind = params_for(relaxation, 6), relaxation.capabilities.logits
    hard = drawn(relaxation, params)
    options = {} if name == "gapped-st" else {"draws": 4, "chunk": 4}
    tau = torch.full((6,), TAU, dtype=torch.float64, requires_grad=True)
    estimator = relaxit.estimator(name, **options)
    value = weigh(relaxation, estimator.given(relaxation(params, tau), hard, seed(2)))
    (got,) = torch.autograd.grad(value.sum(), tau)

    def soft(temperature):
        if name == "gapped-st":
            return marginals(with_gap(params, hard, 1.0, kind) / temperature, kind)
        at = params if name == "gumbel-rao" else shifted_logits(params, hard, 1.0, kind)
        scores = relaxation.perturb_given(at, hard, torch.Size((4,)), seed(2))
        mean = relaxation.relax(scores, temperature).mean(0)
        return mean if name == "gumbel-rao" else 2 * mean

    want = difference(lambda temperature: weigh(relaxation, soft(temperature)))
    torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-8)
