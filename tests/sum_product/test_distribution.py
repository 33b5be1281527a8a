"""The exact distribution that follows from a log-partition function, by enumeration."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import grad
from torch.distributions import kl_divergence

from relaxit import Unsupported
from relaxit.testing import count_values, wrong_frequencies
from tests.helpers import seed
from tests.sum_product.structures import (
    STRUCTURES,
    mean_by_enumeration,
    params_for,
    scores_of,
    values_of,
)

ALL = pytest.mark.parametrize("relaxation", STRUCTURES, ids=repr)
MASKED = pytest.mark.parametrize("masked", [False, True])
BATCHES = pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)])


def entropy_of(scores):
    log_p = scores.log_softmax(-1)
    return -(log_p.exp() * torch.where(log_p > -torch.inf, log_p, 0.0)).sum(-1)


@ALL
@MASKED
@BATCHES
def test_quantities(relaxation, masked, batch):
    params = params_for(relaxation, *batch, masked=masked)
    q, scores, values = (
        relaxation.discrete(params),
        scores_of(relaxation, params),
        values_of(relaxation),
    )
    within = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(q.log_partition(), scores.logsumexp(-1), **within)
    torch.testing.assert_close(q.entropy(), entropy_of(scores), **within)
    torch.testing.assert_close(q.mean, mean_by_enumeration(relaxation, params), **within)
    listed = values.reshape(-1, *(1,) * len(batch), *relaxation.event_shape)
    mass = q.log_prob(listed.expand(-1, *batch, *relaxation.event_shape))
    torch.testing.assert_close(mass.movedim(0, -1), scores.log_softmax(-1), **within)
    assert torch.equal(q.mode, values[scores.argmax(-1)])


@ALL
@MASKED
def test_divergences(relaxation, masked):
    params, other = params_for(relaxation, 3, masked=masked), params_for(relaxation, 3, number=8)
    log_p = scores_of(relaxation, params).log_softmax(-1)
    log_q = scores_of(relaxation, other).log_softmax(-1)
    p, q = relaxation.discrete(params), relaxation.discrete(other)
    wanted = (log_p.exp() * torch.where(log_p > -torch.inf, log_p - log_q, 0.0)).sum(-1)
    torch.testing.assert_close(kl_divergence(p, q), wanted, rtol=1e-12, atol=1e-12)
    back = kl_divergence(q, p)
    assert torch.equal(back.isinf(), (log_p == -torch.inf).any(-1))
    zero = kl_divergence(p, p)
    torch.testing.assert_close(zero, torch.zeros_like(zero), rtol=0, atol=1e-12)


@ALL
def test_divergence_of_two_with_the_same_masks(relaxation):
    """Excluded in both, which leaves the difference of two infinite numbers out."""
    leaf = params_for(relaxation, 20, masked=True).requires_grad_()
    other = params_for(relaxation, 20, number=8).masked_fill(leaf == -torch.inf, -torch.inf)
    other.requires_grad_()
    log_p, log_q = (scores_of(relaxation, x).log_softmax(-1) for x in (leaf, other))
    some = log_p > -torch.inf
    gap = torch.where(some, log_p, 0.0) - torch.where(some, log_q, 0.0)
    got = kl_divergence(relaxation.discrete(leaf), relaxation.discrete(other))
    wanted = (log_p.exp() * gap).sum(-1)
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)
    slopes, known = (grad(x.sum(), (leaf, other)) for x in (got, wanted))
    for one, expected in zip(slopes, known, strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-11, atol=1e-12)


@ALL
@MASKED
def test_gradients(relaxation, masked):
    leaf = params_for(relaxation, 3, masked=masked).requires_grad_()
    q, scores = relaxation.discrete(leaf), scores_of(relaxation, leaf)
    pairs = [
        (q.log_partition(), scores.logsumexp(-1)),
        (q.entropy(), entropy_of(scores)),
        (q.mean, mean_by_enumeration(relaxation, leaf)),
    ]
    for got, wanted in pairs:
        weights = torch.randn(got.shape, generator=seed(1), dtype=torch.float64)
        (one,) = grad((got * weights).sum(), leaf, create_graph=True)
        (other,) = grad((wanted * weights).sum(), leaf, create_graph=True)
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)
        (one,) = grad(one.square().sum(), leaf, retain_graph=True)
        (other,) = grad(other.square().sum(), leaf, retain_graph=True)
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
        assert bool(one.isfinite().all())


@ALL
@MASKED
def test_samples_follow_the_mass(relaxation, masked):
    """False-alarm rate 2e-5 each."""
    params = params_for(relaxation, 2, masked=masked)
    drawn = relaxation.discrete(params).sample((20_000,), generator=seed(1))
    mass = scores_of(relaxation, params).softmax(-1)
    for row in range(2):
        counts = count_values(drawn[:, row], values_of(relaxation))
        assert not wrong_frequencies(counts, mass[row])


@ALL
def test_dtypes(relaxation):
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        params = params_for(relaxation, 3, dtype=dtype)
        q, wide = relaxation.discrete(params), relaxation.discrete(params.double())
        assert q.log_partition().dtype == torch.float64
        assert torch.equal(q.log_partition(), wide.log_partition())
        assert torch.equal(q.mean, wide.mean.to(dtype))
        assert torch.equal(q.entropy(), wide.entropy().float())
        assert q.sample().dtype == q.mode.dtype == dtype


@ALL
def test_zero_params_are_uniform(relaxation):
    number = len(values_of(relaxation))
    assert relaxation.log_cardinality == pytest.approx(math.log(number), abs=1e-14)
    q = relaxation(torch.zeros(relaxation.param_shape, dtype=torch.float64))
    assert float(q.kl_to_uniform()) == pytest.approx(0, abs=1e-14)


def test_other_structures_have_no_divergence():
    one, other, *_ = (r.discrete(params_for(r)) for r in STRUCTURES)
    with pytest.raises(Unsupported, match="no KL divergence between"):
        kl_divergence(one, other)
