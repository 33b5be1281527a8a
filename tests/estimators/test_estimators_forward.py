"""Forward mode propagates the gradient that an estimator estimates, on the same noise."""

from __future__ import annotations

import pytest
import torch
from torch.func import jvp

import relaxit
from relaxit import StatefulEstimator, Unsupported
from tests.helpers import own_classes, params_for, seed, structures


def pairs():
    """Each estimator on each relaxation that it supports."""
    for cls in own_classes("estimator"):
        for relaxation in structures():
            try:
                cls().check(relaxation)
            except Unsupported:
                continue
            yield pytest.param(cls(), relaxation, id=f"{cls.name}-{relaxation!r}")


@pytest.mark.parametrize(("estimator", "relaxation"), list(pairs()))
@pytest.mark.parametrize("temperature", [1.0, "tangent"])
def test_tangents_are_those_of_reverse_mode(estimator, relaxation, temperature):
    without_state = {"state": None} if isinstance(estimator, StatefulEstimator) else {}
    weights = torch.linspace(-1, 2, relaxation.event_shape.numel(), dtype=torch.float64)
    weights = weights.view(relaxation.event_shape)

    def cost(z):
        square = (weights * z).square()
        return square.sum(-1) if relaxation.event_shape else square

    def loss(a, t):
        return estimator.surrogate(relaxation(a, t), cost, seed(0), **without_state).sum()

    params, along = params_for(relaxation, 3), params_for(relaxation, 3, number=8)
    tau, upwards = torch.tensor([0.6, 0.4], dtype=torch.float64)
    leaves = params.clone().requires_grad_(), tau.clone().requires_grad_()
    slopes = torch.autograd.grad(loss(*leaves), leaves, materialize_grads=True)
    if temperature == "tangent":
        tangent = jvp(loss, (params, tau), (along, upwards))[1]
        want = (slopes[0] * along).sum() + slopes[1] * upwards
    else:
        tangent = jvp(lambda a: loss(a, tau), (params,), (along,))[1]
        want = (slopes[0] * along).sum()
    assert torch.allclose(tangent, want)


def test_the_exact_estimator_has_a_hessian():
    relaxation = relaxit.get("categorical", categories=3)
    weights = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)

    def loss(a):
        return relaxit.estimator("exact").surrogate(relaxation(a), lambda z: (z * weights).sum(-1))

    a = torch.randn(3, dtype=torch.float64)
    want = torch.func.hessian(lambda a: (a.softmax(-1) * weights).sum())(a)
    assert torch.allclose(torch.func.hessian(loss)(a), want)
