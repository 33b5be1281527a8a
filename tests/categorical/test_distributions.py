"""The discrete distribution on one-hot vectors against torch and its own probabilities."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import OneHotCategorical, kl_divergence

import relaxit
from relaxit.testing import wrong_frequencies
from tests.categorical.logits import INF, MASKS, categorical, logits_of, masked
from tests.helpers import seed


@pytest.mark.parametrize("size", [2, 5, 1025, 5000])
def test_discrete_distribution_equals_torch(size):
    logits, other = logits_of(3, size), logits_of(3, size, number=4)
    q = categorical(size)(logits)
    theirs = OneHotCategorical(logits=logits)
    value = theirs.sample((4,))
    close = {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close(q.discrete.log_prob(value), theirs.log_prob(value), **close)
    torch.testing.assert_close(q.discrete.entropy(), theirs.entropy(), **close)
    torch.testing.assert_close(q.discrete.mean, theirs.mean, **close)
    assert torch.equal(q.discrete.mode, theirs.mode)
    got = kl_divergence(q.discrete, categorical(size)(other).discrete)
    torch.testing.assert_close(got, kl_divergence(theirs, OneHotCategorical(logits=other)), **close)


def test_frequencies_of_many_categories():
    # alpha = 2e-5. Beyond 1024 categories the distribution function is summed in float64.
    distribution = categorical(2000)(logits_of(2000, dtype=torch.float32) / 2).discrete
    draws = torch.cat([distribution.sample((10_000,), seed(i)).argmax(-1) for i in range(5)])
    observed = torch.bincount(draws, minlength=2000)
    assert not wrong_frequencies(observed, distribution.probs)
    assert wrong_frequencies(observed, distribution.probs.roll(1))


@pytest.mark.parametrize("end", [0.0, 1 - 2.0**-24])
def test_sampling_at_the_ends_of_the_generator(end, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.full(shape, end))
    mask = torch.tensor([-INF, 0.0, 1.0, -INF, 2.0, -INF])
    value = categorical(6)(mask).discrete.sample()
    assert (
        value.tolist() == [0, 1, 0, 0, 0, 0] if end == 0 else value.tolist() == [0, 0, 0, 0, 1, 0]
    )
    noisy = categorical(6)(logits_of(200, 6, dtype=torch.float32)).discrete.sample()
    assert bool(relaxit.constraints.one_hot.check(noisy).all())


def test_kl_with_masks():
    logits, other = logits_of(5), logits_of(5, number=4)
    all_in, some = categorical(5)(logits).discrete, categorical(5)(masked(other, MASKS[0])).discrete
    fewer = categorical(5)(masked(logits, [True, False, False, True, False])).discrete
    assert float(kl_divergence(all_in, some)) == INF
    p, q = fewer.mean, some.mean
    kept = p > 0
    want = (p[kept] * (p[kept] / q[kept]).log()).sum()
    torch.testing.assert_close(kl_divergence(fewer, some), want)
    torch.testing.assert_close(kl_divergence(some, some), torch.zeros(()).double())
