"""Exact draws by inversion of the distribution function."""

from __future__ import annotations

import math

import pytest
import torch

from relaxit import noise
from relaxit.categorical.categorical import Categorical
from relaxit.categorical.distributions import OneHot
from relaxit.categorical.fast import inverse_cdf
from relaxit.testing import wrong_frequencies
from tests.categorical.fast.fused_draws import logits_for
from tests.helpers import seed


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("categories", [2, 10, 128, 129, 130, 1000])
@pytest.mark.parametrize("masked", [False, True])
def test_exact_draws_follow_their_probabilities(categories, masked, dtype):
    # alpha = 2e-5 each; by chi-square over up to 64 cells of equally many categories.
    logits = logits_for((categories,), 2.0, masked, dtype).detach()
    hard = inverse_cdf.draw(logits, torch.Size([20_000 if categories > 128 else 100_000]), seed(1))
    assert ((hard == 0) | (hard == 1)).all()
    assert (hard.sum(-1) == 1).all()
    assert (hard[..., logits == -torch.inf] == 0).all()
    cells = torch.arange(categories) % 64
    probs = torch.zeros(64, dtype=torch.float64).index_add_(0, cells, logits.double().softmax(-1))
    counts = torch.zeros(64, dtype=torch.float64).index_add_(0, cells, hard.double().sum(0))
    kept = probs > 0
    assert (counts[~kept] == 0).all()
    assert not wrong_frequencies(counts[kept], probs[kept])


@pytest.mark.parametrize("categories", [3, 10, 129, 1000])
@pytest.mark.parametrize("u", [1e-12, 0.25, 0.5, 1 - 2**-24])
def test_exact_draws_invert_the_distribution_function(categories, u, monkeypatch):
    def constant(shape, dtype=torch.float32, **_):
        return torch.full(shape, u, dtype=dtype)

    monkeypatch.setattr(noise, "uniform", constant)
    logits = logits_for((6, categories), 3.0, masked=True).detach()
    hard = inverse_cdf.draw(logits, torch.Size([2]))
    steps = logits.double().softmax(-1).cumsum(-1)
    index = hard.argmax(-1)
    assert (hard.sum(-1) == 1).all()
    before = torch.cat([torch.zeros(6, 1, dtype=torch.float64), steps], -1)
    slack = 1e-5
    for row in range(6):
        for k in index[:, row].tolist():
            assert before[row, k] - slack <= u <= steps[row, k] + slack
            assert logits[row, k] > -torch.inf


def test_exact_draws_of_rows_far_apart():
    # One scale for all rows would lose the second one.
    logits = torch.tensor([[0.0, 1.0], [-300.0, -301.0]])
    hard = inverse_cdf.draw(logits, torch.Size([20_000]), seed(0))
    for row, p in ((0, 1 / (1 + math.e)), (1, 1 / (1 + 1 / math.e))):
        count = hard[:, row, 0].sum().item()
        assert not wrong_frequencies(
            torch.tensor([count, 20_000 - count]),
            torch.tensor([p, 1 - p], dtype=torch.float64),
        )


def test_draws_of_the_distribution_are_exact_and_obey_the_generator():
    distribution = OneHot(Categorical(categories=5), torch.zeros(100, 5))
    assert torch.equal(
        distribution.sample((3,), generator=seed(1)), distribution.sample((3,), generator=seed(1))
    )
    assert distribution.sample((3,)).shape == (3, 100, 5)
