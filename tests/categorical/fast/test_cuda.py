"""The CUDA operators of the Concrete draw, in their reference implementation on the CPU."""

from __future__ import annotations

import math

import pytest
import torch

from relaxit.categorical.fast import cuda
from relaxit.categorical.fast.cuda import concrete
from relaxit.testing import count_values, wrong_distribution, wrong_frequencies, wrong_mean
from tests.categorical.fast.operators import draw, gumbel_row, key, logits
from tests.helpers import seed


def test_words_are_those_of_the_authors():
    # kat_vectors of Random123, philox4x32-10
    word = cuda.words(key(0), 1, 4)
    assert [f"{each:08x}" for each in word[0].tolist()] == [
        "6627e8d5",
        "e169c58d",
        "bc57ac4c",
        "9b00dbd8",
    ]


@pytest.mark.parametrize("number", [0, 1, -1, 2**62 + 3, -(2**63)])
def test_noise_equals_that_of_python_integers(number):
    want = torch.stack([gumbel_row(number, row, 6) for row in range(3)])
    torch.testing.assert_close(cuda.gumbel(key(number), 3, 6), want, rtol=2e-6, atol=2e-6)


def test_noise_is_gumbel_and_uncorrelated():
    g = cuda.gumbel(key(11), 20_000, 7)
    assert not wrong_distribution(g, "gumbel_r")
    centred = g.double() - g.double().mean()
    assert not wrong_mean((centred[:, :-1] * centred[:, 1:]).flatten(), 0.0)
    assert not wrong_mean((centred[:-1] * centred[1:]).flatten(), 0.0)
    assert not wrong_mean((centred * (cuda.gumbel(key(12), 20_000, 7) - g.mean())).flatten(), 0.0)


def by_autograd(params, temperature, copies=1, number=5):
    """The soft value as one would write it, on the noise of the operator."""
    noise = cuda.gumbel(key(number), copies * len(params), params.shape[1])
    return ((params.repeat(copies, 1) + noise) / temperature).softmax(-1)


@pytest.mark.parametrize("k", [2, 3, 10])
def test_hard_values_follow_the_discrete_distribution(k):
    a = torch.randn(k, generator=seed(3))
    _, hard = concrete(a, 1.0, torch.Size([20_000]), seed(4), soft=False, hard=True)
    assert not wrong_frequencies(count_values(hard, torch.eye(k)), a.softmax(-1))


def test_soft_values_follow_the_density():
    # By the density itself: that of two categories is logistic in log y0 - log y1.
    a, tau = torch.tensor([0.3, -0.4]), 0.6
    soft, _ = concrete(a, tau, torch.Size([20_000]), seed(5))
    ratio = (soft[:, 0].log() - soft[:, 1].log()) * tau - 0.7
    assert not wrong_distribution(ratio, "logistic")


def test_seeds():
    a = logits(5, 6)
    same = [concrete(a, 0.5, torch.Size([2]), seed(1), hard=True) for _ in range(2)]
    assert all(torch.equal(one, other) for one, other in zip(*same, strict=True))
    other, _ = concrete(a, 0.5, torch.Size([2]), seed(2))
    assert not torch.equal(same[0][0], other)
    assert not torch.equal(same[0][0][0], same[0][0][1])


@pytest.mark.parametrize("heat", ["number", "scalar", "row"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_shapes_temperatures_and_gradient(heat, shape):
    a = logits(8, 6).view(2, 4, 6).requires_grad_()
    tau = {"number": 0.5, "scalar": torch.tensor(0.5)}.get(heat, torch.rand(4, 1) + 0.2)
    soft, hard = concrete(a, tau, torch.Size(shape), seed(6), hard=True)
    assert soft.shape == hard.shape == (*shape, 2, 4, 6)
    assert not hard.requires_grad
    number = int(torch.randint(2**63 - 1, (), generator=seed(6)))
    rows = tau.expand(2, 4, 1).reshape(8, 1) if heat == "row" else tau
    rows = rows.repeat(math.prod(shape), 1) if heat == "row" else rows
    want = by_autograd(a.view(8, 6), rows, math.prod(shape), number).view_as(soft)
    torch.testing.assert_close(soft, want, rtol=1e-5, atol=1e-6)
    assert torch.equal(hard, torch.nn.functional.one_hot(want.argmax(-1), 6).float())
    weight = torch.randn(soft.shape, generator=seed(7))
    got = torch.autograd.grad((soft * weight).sum(), a)[0]
    want = torch.autograd.grad((want * weight).sum(), a)[0]
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("copies", [1, 3])
def test_higher_derivatives(copies):
    a, direction = logits(4, 5).requires_grad_(), torch.randn(4, 5, generator=seed(8))
    weight = torch.randn(copies * 4, 5, generator=seed(9))
    found = []
    for soft in (draw(a, 0.7, copies)[0], by_autograd(a, 0.7, copies)):
        value = (soft.square() * weight).sum()
        for _ in range(3):
            value = (torch.autograd.grad(value, a, create_graph=True)[0] * direction).sum()
            found.append(value.detach())
    torch.testing.assert_close(found[:3], found[3:], rtol=1e-4, atol=1e-5)


def test_a_constant_has_no_gradient_in_a_short_dtype():
    a = logits(6, 9, torch.bfloat16).requires_grad_()
    soft, _ = draw(a, 0.5)
    soft.sum().backward()
    assert float(a.grad.abs().max()) < 1e-6


@pytest.mark.parametrize("arguments", [(None, 0.7, 1), (None, 0.7, 3), (torch.rand(4), None, 3)])
def test_operators_keep_torch_s_rules(arguments):
    heat, number, copies = arguments
    a = torch.randn(4, 5, generator=seed(1), requires_grad=True)
    given = (a, heat, number, key(5), copies, True, True)
    torch.library.opcheck(torch.ops.relaxit.concrete.default, given)
    soft = torch.ops.relaxit.concrete(*given)[0].detach().requires_grad_()
    grad = torch.randn(soft.shape, generator=seed(2), requires_grad=True)
    backward = torch.ops.relaxit.concrete_backward.default
    torch.library.opcheck(backward, (grad, soft, heat, number, 4))


def test_compiles_whole():
    def cost(a, tau):
        soft, hard = concrete(a, tau, torch.Size([2]), hard=True)
        return (soft * hard).sum()

    a = logits(4, 5).requires_grad_()
    torch.compile(cost, fullgraph=True, backend="aot_eager")(a, torch.tensor(0.5)).backward()
    assert bool(a.grad.isfinite().all())
    assert bool((a.grad != 0).any())


@pytest.mark.parametrize("shape", [(0,), (0, 2)])
def test_nothing_to_draw(shape):
    a = torch.zeros(3, 4, requires_grad=True)
    soft, hard = concrete(a, 0.5, torch.Size(shape), hard=True)
    assert soft.shape == hard.shape == (*shape, 3, 4)
    soft.sum().backward()
    assert bool((a.grad == 0).all())
    soft, _ = concrete(torch.zeros(0, 4), torch.ones(0, 1))
    assert soft.shape == (0, 4)


def test_illegal_logits_give_nan():
    a = torch.tensor([[0.0, torch.nan, 1.0], [torch.inf, 0.0, 1.0], [-torch.inf] * 3])
    assert bool(draw(a, 0.5)[0].isnan().all())
