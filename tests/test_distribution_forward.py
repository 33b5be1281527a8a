"""Forward-mode differentiation, and Hessians, against reverse mode and finite differences."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import forward_ad
from torch.distributions import kl_divergence
from torch.func import hessian, jacfwd, jacrev, jvp

from tests.helpers import params_for, relaxations_with, seed
from tests.own_relaxations import ALL

STEP = 1e-5
TEMPERATURE = torch.tensor(0.7, dtype=torch.float64)


def functions(relaxation):
    """Scalars of params and temperature: of samples, and of values that are fixed."""
    soft, hard = relaxation(params_for(relaxation, 2), 0.9).draw((), seed(1))
    weights = torch.linspace(-1, 1, soft.numel(), dtype=soft.dtype).view(soft.shape)
    other = relaxation.discrete(params_for(relaxation, 2, number=3))
    shape = torch.Size()
    drawn = {
        "rsample": lambda a, t: relaxation(a, t).rsample((), seed(0)),
        "draw": lambda a, t: relaxation(a, t).draw((), seed(0))[0],
        "straight_through": lambda a, t: relaxation.straight_through(a, t, shape, seed(0)),
        "mean": lambda a, t: relaxation.discrete(a / t).mean,
    }
    fixed = {
        "density": lambda a, t: relaxation(a, t).log_prob(soft),
        "density of a sample": lambda a, t: relaxation(a, t).log_prob(
            relaxation(a, t).rsample((), seed(0))
        ),
        "log_space": lambda a, t: relaxation(a, t).log_space.log_prob(
            relaxation(a, t).log_space.rsample((), seed(0))
        ),
        "mass": lambda a, t: relaxation.discrete(a / t).log_prob(hard),
        "entropy": lambda a, t: relaxation.discrete(a / t).entropy(),
        "kl": lambda a, t: kl_divergence(relaxation.discrete(a / t), other),
        "kl_to_uniform": lambda a, t: relaxation(a / t).kl_to_uniform(),
    }
    weighted = {n: lambda a, t, f=f: (weights * f(a, t)).sum() for n, f in drawn.items()}
    return weighted | {n: lambda a, t, f=f: f(a, t).sum() for n, f in fixed.items()}


CASES = pytest.mark.parametrize(
    ("relaxation", "name"),
    [(r, name) for r in relaxations_with("density") for name in functions(r)],
    ids=str,
)
SAMPLED = ("rsample", "draw", "straight_through", "density of a sample", "log_space")


@CASES
def test_tangents_are_those_of_reverse_mode(relaxation, name):
    function, params = functions(relaxation)[name], params_for(relaxation, 2)
    directions = params_for(relaxation, 2, number=8), torch.tensor(0.3, dtype=torch.float64)
    leaves = [x.clone().requires_grad_() for x in (params, TEMPERATURE)]
    slopes = torch.autograd.grad(function(*leaves), leaves, materialize_grads=True)
    want = [(slope * along).sum() for slope, along in zip(slopes, directions, strict=True)]
    tangent = jvp(function, (params, TEMPERATURE), directions)[1]
    assert torch.allclose(tangent, sum(want))
    # A tangent of one of the two alone: neither may be taken for a constant.
    for number in (0, 1):
        inputs = [params, TEMPERATURE]
        with forward_ad.dual_level():
            inputs[number] = forward_ad.make_dual(inputs[number], directions[number])
            alone = forward_ad.unpack_dual(function(*inputs)).tangent
        assert alone is not None or want[number] == 0
        assert alone is None or torch.allclose(alone, want[number])


@CASES
def test_jacobians_and_hessians(relaxation, name):
    function, params = functions(relaxation)[name], params_for(relaxation, 2)
    of_params = lambda a: function(a, TEMPERATURE)  # noqa: E731
    leaf = params.clone().requires_grad_()
    (slope,) = torch.autograd.grad(of_params(leaf), leaf)
    assert torch.allclose(jacfwd(of_params, randomness="same")(params), slope)
    found = jacfwd(jacrev(of_params), randomness="same")(params)
    if name not in SAMPLED:
        assert torch.equal(hessian(of_params)(params), found)
    units = torch.eye(params.numel(), dtype=params.dtype).view(-1, *params.shape)
    columns = [
        (jacrev(of_params)(params + STEP * u) - jacrev(of_params)(params - STEP * u)) / (2 * STEP)
        for u in units
    ]
    want = torch.stack(columns, -1).view(found.shape)
    assert torch.allclose(found, want, rtol=1e-5, atol=1e-6)


@ALL
def test_a_dual_temperature_per_row(relaxation):
    params, rows = params_for(relaxation, 2), torch.tensor([0.5, 2.0], dtype=torch.float64)
    sample = lambda t: relaxation(params, t).rsample((3,), seed(0)).flatten(2).sum((0, 2))  # noqa: E731
    leaf = rows.clone().requires_grad_()
    weights = torch.tensor([1.0, -2.0], dtype=torch.float64)
    if relaxation.event_shape:
        sample = lambda t: relaxation(params, t).rsample((3,), seed(0))[..., 0].sum(0)  # noqa: E731
    else:
        sample = lambda t: relaxation(params, t).rsample((3,), seed(0)).sum(0)  # noqa: E731
    (slope,) = torch.autograd.grad(sample(leaf).sum(), leaf)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(sample(forward_ad.make_dual(rows, weights))).tangent
    assert torch.allclose(tangent, slope * weights)
