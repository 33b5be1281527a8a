"""The exact estimator against an explicit sum, and what it rejects."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

import relaxit
from relaxit.errors import Unsupported
from relaxit.estimators.exact import Exact
from relaxit.testing.toys import SamplesOnly, ThreeNumbers
from tests.helpers import params_for, seed
from tests.own_relaxations import DISCRETE

CATEGORICAL = relaxit.get("categorical", categories=3)


def cubic(relaxation, variables):
    weights = torch.randn(variables, *relaxation.event_shape, generator=seed(11)).double()

    def cost(z):
        return ((weights.to(z.dtype) * z).flatten(z.dim() - weights.dim()).sum(-1) + 0.25) ** 3

    return cost


def by_hand(relaxation, params, cost):
    """Expected costs ``[B]`` of rows of variables ``[B, L, *param_shape]``."""
    vertices = relaxation.enumerate_vertices().to(params.dtype)
    rows = []
    for row in params:
        mass = relaxation.discrete(row.unsqueeze(1)).log_prob(vertices).exp()
        terms = [
            math.prod(mass[i, s] for i, s in enumerate(state)) * cost(vertices[list(state)])
            for state in itertools.product(range(len(vertices)), repeat=len(row))
        ]
        rows.append(torch.stack(terms).sum())
    return torch.stack(rows)


@DISCRETE
@pytest.mark.parametrize("variables", [1, 3])
def test_value_and_gradient(relaxation, variables):
    cost, calls = cubic(relaxation, variables), []

    def counted(z):
        calls.append(z.shape)
        return cost(z)

    params = params_for(relaxation, 2, variables).requires_grad_()
    value = Exact().surrogate(relaxation(params, 0.1), counted)
    want = by_hand(relaxation, params, cost)
    torch.testing.assert_close(value, want, rtol=1e-12, atol=1e-12)
    got, wanted = (torch.autograd.grad(v[1].exp(), params)[0] for v in (value, want))
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)
    assert len(calls) == Exact().evaluations(relaxation, variables)
    assert set(calls) == {(2, variables, *relaxation.event_shape)}


@DISCRETE
def test_one_cost_a_variable_takes_one_round(relaxation):
    cost, calls = cubic(relaxation, 1), []
    params = params_for(relaxation, 4, 3).requires_grad_()

    def each(z):
        calls.append(z)
        return cost(z.unsqueeze(2))

    value = Exact().surrogate(relaxation(params), each)
    assert value.shape == (4, 3)
    assert len(calls) == len(relaxation.enumerate_vertices())
    want = by_hand(relaxation, params.flatten(0, 1).unsqueeze(1), cost).view(4, 3)
    torch.testing.assert_close(value, want, rtol=1e-12, atol=1e-12)


def test_decoder_gets_the_gradient_of_the_expected_cost():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    params = params_for(CATEGORICAL, 4, 2).requires_grad_()

    def cost(z):
        return decoder(z.flatten(-2)).squeeze(-1).square()

    leaves = [params, *decoder.parameters()]
    got = torch.autograd.grad(Exact().surrogate(CATEGORICAL(params), cost).sum(), leaves)
    want = torch.autograd.grad(by_hand(CATEGORICAL, params, cost).sum(), leaves)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_what_cannot_be_counts_nothing():
    # Not even an infinite cost, which 0 times it would make NaN.
    params = torch.tensor([[0.3, -torch.inf, 0.1], [0.0, 1.0, -torch.inf]], requires_grad=True)
    prizes = torch.tensor([[1.0, torch.inf, 2.0], [3.0, -1.0, torch.inf]])

    def cost(z):
        return torch.where(z > 0.5, prizes, 0.0).sum((-1, -2))

    value = Exact().surrogate(CATEGORICAL(params), cost)
    (slope,) = torch.autograd.grad(value, params)
    kept = prizes.masked_fill(prizes.isinf(), 0.0)
    torch.testing.assert_close(value, (params.softmax(-1) * kept).sum())
    assert bool(slope.isfinite().all())
    assert not bool(slope[params == -torch.inf].any())
    want = params.detach().softmax(-1)
    torch.testing.assert_close(slope, want * (kept - (want * kept).sum(-1, keepdim=True)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_dtypes(dtype):
    params = params_for(CATEGORICAL, 4, 2, dtype=dtype).requires_grad_()
    value = Exact().surrogate(CATEGORICAL(params), cubic(CATEGORICAL, 2))
    assert value.dtype == dtype
    want = by_hand(CATEGORICAL, params.double(), cubic(CATEGORICAL, 2))
    torch.testing.assert_close(value.double(), want, rtol=0.03, atol=0.03)


def test_vmap_of_grad_equals_a_loop():
    cost = cubic(CATEGORICAL, 2)
    params = params_for(CATEGORICAL, 3, 4, 2)
    grad = torch.func.grad(lambda a: Exact().surrogate(CATEGORICAL(a), cost).sum())
    torch.testing.assert_close(
        torch.func.vmap(grad)(params), torch.stack([grad(a) for a in params])
    )


def test_too_many_states_are_rejected():
    ten = relaxit.get("categorical", categories=10)
    Exact().check(ten)
    Exact().check_joint(ten, 3)
    assert Exact().evaluations(ten, 3) == 1000
    message = r"'exact'.*4 variables.*10\^4 = 10000, more than states = 4096.*try 'rloo'"
    with pytest.raises(Unsupported, match=message):
        Exact().check_joint(ten, 4)
    calls = []
    with pytest.raises(Unsupported, match=message):
        Exact().surrogate(ten(torch.zeros(2, 4, 10)), lambda z: calls.append(z) or z.sum((1, 2, 3))
                          if z.dim() > 3 else z.sum((-1, -2)))  # fmt: skip
    assert len(calls) <= 1
    Exact(states=10_000).check_joint(ten, 4)
    Exact(states=10).check(ten)
    with pytest.raises(Unsupported, match=r"one variable.*has 10, more than states = 9"):
        Exact(states=9).check(ten)


def test_more_values_than_can_be_listed_are_rejected_unlisted():
    class Many(ThreeNumbers):
        name = "many"
        log_cardinality = 50.0

        def enumerate_vertices(self):
            raise AssertionError("e^50 values")

    with pytest.raises(Unsupported, match=r"exp\(50.0\), more than states = 4096"):
        Exact().check(Many())


def test_values_that_nobody_lists_are_rejected():
    class Unlisted(ThreeNumbers):
        name = "unlisted"
        log_cardinality = math.log(3)

        def enumerate_vertices(self):
            raise NotImplementedError

    for relaxation, what in (
        (Unlisted(), "enumerate_vertices"),
        (SamplesOnly(), "discrete distribution"),
    ):
        with pytest.raises(Unsupported, match=f"'exact' needs .*{what}.*{relaxation.name}"):
            Exact().check(relaxation)
