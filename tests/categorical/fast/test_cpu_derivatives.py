"""Higher and forward-mode derivatives of the fused draw on the CPU, and compiled code."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import forward_ad

from relaxit.categorical.categorical import Categorical
from relaxit.categorical.distributions import OneHot
from relaxit.categorical.fast import cpu
from relaxit.categorical.fast.entropy import entropy as entropy_of
from tests.categorical.fast.fused_draws import logits_for
from tests.helpers import seed


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_second_derivatives(temperature):
    logits = logits_for((3, 4), 1.0, dtype=torch.float64)

    def draw(params):
        return cpu.concrete(params, temperature, torch.Size([2]), seed(3))[0]

    assert torch.autograd.gradcheck(draw, logits)
    assert torch.autograd.gradgradcheck(draw, logits)


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_second_derivatives_of_straight_through(temperature):
    logits = logits_for((3, 4), 1.0, dtype=torch.float64)

    def value(params):
        return cpu.straight_through(params, temperature, torch.Size([2]), seed(3))

    assert torch.autograd.gradgradcheck(value, logits)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_forward_mode(temperature):
    # Through the distribution: the reference implementation takes over. Also over a backward pass.
    logits, tangent = torch.randn(2, 3, 4, generator=seed(0), dtype=torch.float64)
    categorical = Categorical(categories=4)

    def moved(function, by):
        torch.manual_seed(1)
        return function((logits + by * tangent).requires_grad_())

    def slope(params):
        (found,) = torch.autograd.grad(categorical.kl_to_uniform(params).sum(), params)
        return found

    for function in (lambda x: categorical(x, temperature).rsample((2,)), slope):
        with forward_ad.dual_level():
            torch.manual_seed(1)
            dual = forward_ad.make_dual(logits.clone().requires_grad_(), tangent)
            got = forward_ad.unpack_dual(function(dual)).tangent
        ends = [moved(function, by) for by in (1e-6, -1e-6)]
        torch.testing.assert_close(got, (ends[0] - ends[1]) / 2e-6, rtol=1e-5, atol=1e-8)


def test_the_distribution_does_not_keep_what_had_no_gradient():
    logits = logits_for((3, 4), 1.0)
    distribution = OneHot(Categorical(categories=4), logits)
    with torch.no_grad():
        value = distribution.mode
        distribution.mean  # noqa: B018
        distribution.log_prob(value)
    assert torch.autograd.grad(distribution.log_prob(value).sum(), logits)[0].abs().max() > 0


def test_batched_gradients():
    logits = logits_for((3, 4), 1.0, dtype=torch.float64)
    for y in (cpu.concrete(logits, 0.5, torch.Size(), seed(1))[0], entropy_of(logits)):
        arriving = torch.randn(5, *y.shape, dtype=torch.float64)
        (got,) = torch.autograd.grad(y, logits, arriving, is_grads_batched=True, retain_graph=True)
        for each, one in zip(got, arriving, strict=True):
            (want,) = torch.autograd.grad(y, logits, one, retain_graph=True)
            torch.testing.assert_close(each, want)


ROWS = torch.linspace(0.05, 2.0, 40).unsqueeze(-1)


@pytest.mark.parametrize("temperature", [0.3, torch.tensor(1.0), torch.tensor(0.01), ROWS], ids=str)
def test_compiled_code_calls_the_same(temperature):
    categorical = Categorical(categories=10)

    def draw(params, temperature):
        return categorical.draw(params, temperature, torch.Size([2]))

    torch.compiler.reset()
    compiled = torch.compile(draw, fullgraph=True, backend="aot_eager")
    logits, results = logits_for((40, 10), 3.0, masked=True), []
    for form in (compiled, draw):
        torch.manual_seed(1)
        soft, hard = form(logits, temperature)
        arriving = torch.randn(soft.shape, generator=seed(2))
        results.append([soft, hard, *torch.autograd.grad(soft, logits, arriving)])
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want)
    torch.library.opcheck(
        torch.ops.relaxit.race.default,
        (logits, -torch.rand(2, 40, 10) - 0.1, torch.as_tensor(temperature), True),
        test_utils=("test_schema", "test_faketensor", "test_aot_dispatch_static"),
    )


def test_derivatives_of_the_operator():
    drawn = -0.1 - torch.rand(2, 3, 4, generator=seed(1), dtype=torch.float64)
    temperature = torch.tensor([[0.5], [1.0], [2.0]], dtype=torch.float64)
    logits = logits_for((3, 4), 1.0, dtype=torch.float64)

    def draw(params):
        return torch.ops.relaxit.race(params, drawn, temperature, False)[0]

    assert torch.autograd.gradcheck(draw, logits)
    assert torch.autograd.gradgradcheck(draw, logits)
