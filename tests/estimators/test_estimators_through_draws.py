"""Estimators through draws: masks, temperatures, dtypes, transforms, missing capabilities."""

from __future__ import annotations

import math

import pytest
import torch

import relaxit
from relaxit.errors import Unsupported
from relaxit.testing.toys import SamplesOnly, ThreeNumbers
from tests.estimators.costs import power_cost
from tests.estimators.draw_estimators import (
    BINARY,
    FIVE,
    GROUND,
    WITH_NOISE,
    WITHOUT_NOISE,
    built,
    drawn,
    slope_given,
)
from tests.helpers import params_for, seed

ALL = pytest.mark.parametrize("name", [*WITHOUT_NOISE, *WITH_NOISE, "decoupled-st-gumbel"])


@pytest.mark.parametrize("name", [*WITHOUT_NOISE, *WITH_NOISE])
def test_a_masked_category_is_as_if_it_were_not_there(name):
    three = relaxit.get("categorical", categories=3)
    logits = params_for(three, 20)
    kept = [0, 2, 3]
    masked = torch.full((20, 5), -math.inf).double()
    masked[:, kept] = logits
    hard = drawn(three, logits)
    wide = torch.zeros(20, 5).double()
    wide[:, kept] = hard
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0, 9.0]).double()
    got = slope_given(built(name), FIVE, masked, wide, lambda z: (z @ weights + 0.1) ** 3, 0.7)
    assert bool(got.isfinite().all())
    assert not got[:, [1, 4]].any()
    if name in WITHOUT_NOISE:
        few = weights[kept]
        want = slope_given(built(name), three, logits, hard, lambda z: (z @ few + 0.1) ** 3, 0.7)
        torch.testing.assert_close(got[:, kept], want, rtol=1e-9, atol=1e-12)


@ALL
def test_forced_bits_and_learned_temperatures_give_finite_gradients(name):
    for relaxation, logits in (
        (BINARY, torch.tensor([-math.inf, math.inf, 0.3])),
        (FIVE, torch.tensor([[0.0, -math.inf, 1.0, 2.0, -1.0], [-math.inf] * 4 + [0.0]])),
    ):
        leaf = logits.double().requires_grad_()
        temperature = torch.tensor(0.7).double().requires_grad_()
        value = built(name).sample(relaxation(leaf, temperature), (50,), seed(1))
        slopes = torch.autograd.grad(
            power_cost(relaxation, 3)(value).sum(), (leaf, temperature), allow_unused=True
        )
        for slope in slopes:
            assert slope is None or bool(slope.isfinite().all())


@GROUND
@ALL
def test_each_row_has_its_temperature(relaxation, name):
    params, cost = params_for(relaxation, 3), power_cost(relaxation, 2)
    temperatures = torch.tensor([0.4, 1.0, 2.0]).double()

    def slope(temperature):
        leaf = params.clone().requires_grad_()
        value = built(name).surrogate(relaxation(leaf, temperature), cost, seed(1)).sum()
        return torch.autograd.grad(value, leaf)[0]

    got = slope(temperatures)
    want = torch.stack([slope(float(t))[i] for i, t in enumerate(temperatures)])
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)


@GROUND
@ALL
def test_layout_and_short_dtypes(relaxation, name):
    params, cost = params_for(relaxation, 6, 4), power_cost(relaxation, 2)

    def run(given):
        leaf = given.detach().requires_grad_()
        value = built(name).sample(relaxation(leaf, 0.7), (), seed(1))
        return value.detach(), torch.autograd.grad(cost(value).sum(), leaf)[0]

    value, slope = run(params.float())
    strided = params.float().transpose(0, 1).contiguous().transpose(0, 1)
    assert not strided.is_contiguous()
    for got, want in zip(run(strided), (value, slope), strict=True):
        torch.testing.assert_close(got, want)
    short_value, short_slope = run(params.bfloat16())
    again, rounded = run(params.bfloat16().float())
    assert bool(relaxation.vertices.check(short_value).all())
    assert torch.equal(short_value.float(), again)
    torch.testing.assert_close(short_slope.float(), rounded, rtol=0.05, atol=0.05)


@GROUND
@pytest.mark.parametrize("name", [*WITHOUT_NOISE, *WITH_NOISE])
def test_vmap_over_params_and_draws(relaxation, name):
    params, cost = params_for(relaxation, 4), power_cost(relaxation, 2)
    hard = drawn(relaxation, params)

    def slope(a, z):
        torch.manual_seed(5)
        return torch.func.grad(lambda x: cost(built(name).given(relaxation(x, 0.7), z)))(a)

    got = torch.func.vmap(slope, randomness="same")(params, hard)
    want = torch.stack([slope(*row) for row in zip(params, hard, strict=True)])
    torch.testing.assert_close(got, want)


@ALL
def test_compiled_equals_eager(name):
    relaxation = BINARY if name in ("gapped-st", "reinmax-rao", "reinmax-cv") else FIVE
    cost = power_cost(relaxation, 3)
    few = {"draws": 3, "chunk": 3} if name in WITH_NOISE else {}

    def step(params, temperature):
        return built_once.surrogate(relaxation(params, temperature), cost)

    def run(function):
        torch.manual_seed(1)
        params = params_for(relaxation, 4).requires_grad_()
        value = function(params, torch.tensor(0.5, dtype=torch.float64))
        return value, torch.autograd.grad(value.sum(), params)[0]

    built_once = relaxit.estimator(name, **few)
    torch.compiler.reset()
    # Differentiated by the compiler two calls of rand may swap: other numbers, same distribution.
    backend = "eager" if name == "reinmax-cv" else "aot_eager"
    compiled = torch.compile(step, fullgraph=True, backend=backend)
    for got, want in zip(run(compiled), run(step), strict=True):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("gapped-st", "logits of one category or of independent bits"),
        ("reinmax", "logits of one category or of independent bits"),
        ("reinmax-rao", "logits of one category or of independent bits"),
        ("reinmax-cv", "logits of one category or of independent bits"),
        ("gumbel-rao", "capability conditional"),
    ],
)
def test_what_is_missing_is_named(name, missing):
    for bare in (SamplesOnly(), ThreeNumbers()):
        q = bare(torch.zeros(2, 3))
        for call in (
            lambda q=q: built(name).check(q.relaxation),
            lambda q=q: built(name).sample(q),
        ):
            with pytest.raises(Unsupported, match=missing) as caught:
                call()
            assert name in str(caught.value)
            assert bare.name in str(caught.value)
