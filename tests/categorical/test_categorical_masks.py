"""Masked categories: everything is as for the distribution without them."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import kl_divergence

from relaxit.testing import count_values, wrong_frequencies
from tests.categorical.logits import INF, MASKS, categorical, logits_of, masked
from tests.helpers import DTYPES, seed


@pytest.mark.parametrize("mask", MASKS[:2])
@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 10.0, "rows"])
def test_masked_density_is_that_of_the_smaller_distribution(mask, temperature):
    logits = logits_of(6, 5)
    tau = (
        torch.rand(6, dtype=torch.float64, generator=seed(2)) + 0.1
        if temperature == "rows"
        else temperature
    )
    q, small = (
        categorical(5)(masked(logits, mask), tau),
        categorical(sum(mask))(logits[:, mask], tau),
    )
    soft = q.rsample((3,), seed(0))
    assert bool((soft[..., ~torch.tensor(mask)] == 0).all())
    assert bool((soft[..., mask] > 0).all())
    torch.testing.assert_close(q.log_prob(soft), small.log_prob(soft[..., mask]))
    x = q.log_space.rsample((3,), seed(0))
    assert bool((x[..., ~torch.tensor(mask)] == -INF).all())
    torch.testing.assert_close(q.log_space.log_prob(x), small.log_space.log_prob(x[..., mask]))


@pytest.mark.parametrize("mask", MASKS)
def test_masked_discrete_distribution_is_the_smaller_distribution(mask):
    logits = logits_of(6, 5)
    distribution = categorical(5)(masked(logits, mask)).discrete
    p = logits[:, mask].softmax(-1)
    torch.testing.assert_close(distribution.mean[:, mask], p)
    assert bool((distribution.mean[:, ~torch.tensor(mask)] == 0).all())
    torch.testing.assert_close(distribution.entropy(), -(p * p.log()).sum(-1))
    mass = distribution.log_prob(distribution.enumerate_support()).exp()
    torch.testing.assert_close(mass.sum(0), torch.ones(6, dtype=torch.float64))
    # To the uniform distribution over all five, not over those left.
    want = (p * (p * 5).log()).sum(-1)
    torch.testing.assert_close(categorical(5)(masked(logits, mask)).kl_to_uniform(), want)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mask", MASKS)
def test_masked_categories_never_occur(mask, dtype):
    q = categorical(5)(masked(torch.zeros(5), mask).to(dtype), 0.7)
    out = ~torch.tensor(mask)
    for value in (
        *q.draw((5000,), seed(0)),
        q.discrete.sample((5000,), seed(0)),
        q.sample_hard((5000,)),
    ):
        assert bool((value[:, out] == 0).all())
    soft, hard = q.draw((5000,), seed(1))
    assert bool((soft[:, mask] > 0).all())
    # alpha = 2e-5.
    observed = count_values(hard, torch.eye(5, dtype=dtype))
    assert not wrong_frequencies(observed, q.discrete.mean)
    assert wrong_frequencies(observed, torch.full((5,), 0.2))


@pytest.mark.parametrize("mask", MASKS)
def test_gradients_are_finite_and_right_with_masks(mask):
    logits, other = masked(logits_of(3, 5), mask), masked(logits_of(3, 5, number=4), mask)
    q = categorical(5)(logits, 0.5)
    soft, hard = q.draw((), seed(0))
    x = q.log_space.rsample((), seed(0)).detach()
    functions = [
        lambda a: categorical(5)(a).discrete.entropy(),
        lambda a: categorical(5)(a).kl_to_uniform(),
        lambda a: categorical(5)(a).discrete.log_prob(hard),
        lambda a: categorical(5)(a).discrete.mean.square().sum(-1),
        lambda a: kl_divergence(categorical(5)(a).discrete, categorical(5)(other).discrete),
        lambda a: kl_divergence(categorical(5)(other).discrete, categorical(5)(a).discrete),
        lambda a: categorical(5)(a, 0.5).log_prob(soft),
        lambda a: categorical(5)(a, 0.5).log_space.log_prob(x),
        lambda a: categorical(5)(a, 0.5).rsample((), seed(1)).square().sum(-1),
    ]
    free = torch.tensor(mask)
    for function in functions:
        leaf = logits.clone().requires_grad_()
        (slope,) = torch.autograd.grad(function(leaf).sum(), leaf)
        assert bool(slope.isfinite().all())
        assert bool((slope[:, ~free] == 0).all())
        # gradcheck may only step along the free logits.
        rest = lambda free_part, f=function: f(logits.masked_scatter(free, free_part))  # noqa: E731
        assert torch.autograd.gradcheck(rest, logits[:, mask].clone().requires_grad_())


def test_value_on_a_masked_category_has_no_density():
    q = categorical(3)(torch.tensor([0.0, 0.0, -INF]))
    assert float(q.log_prob(torch.tensor([0.3, 0.6, 0.1]))) == -INF
    assert float(q.discrete.log_prob(torch.tensor([0.0, 0.0, 1.0]))) == -INF
