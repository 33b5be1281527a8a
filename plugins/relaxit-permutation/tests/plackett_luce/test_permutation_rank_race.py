"""Marginals as integrals, for any number of items."""

from __future__ import annotations

import pytest
import torch
from permutation_helpers import close, dtypes, normal
from plackett_luce_oracles import distribution, tolerance

from relaxit_permutation.plackett_luce import lattice, rank_race


@dtypes
@pytest.mark.parametrize("n", [8, 13])
@pytest.mark.parametrize("scale", [0.0, 0.01, 1.0, 10.0, 50.0, 1e4])
def test_two_exact_ways_to_the_marginals(n, scale, dtype):
    scores = normal(2, n).mul(scale).to(dtype)
    by_sets, by_integral = lattice.marginals(scores.double()), rank_race.marginals(scores)
    close(by_integral, by_sets, tolerance(dtype))
    close(distribution(scores).mean, by_sets, tolerance(dtype))


@dtypes
@pytest.mark.parametrize("n", [20, 60])
def test_marginals_of_many_items(n, dtype):
    # No oracle lists these: the first row is the softmax, the last but for that of its sum, equal
    # items share evenly, and both margins are 1.
    ones, small = torch.ones(n).double(), tolerance(dtype)
    for scale in (0.0, 3.0, 100.0):
        scores = normal(n).mul(scale).to(dtype)
        p = distribution(scores).mean.double()
        close(p[0], scores.double().softmax(-1), small)
        close(p.sum(-1), ones, n * small / 10)
        close(p.sum(-2), ones, n * small / 10)
    close(distribution(torch.zeros(n, dtype=dtype)).mean, ones.expand(n, n) / n, small)


def test_integral_in_parts_is_the_whole(monkeypatch):
    scores = normal(3, 5)
    want = rank_race.marginals(scores)
    monkeypatch.setattr(rank_race, "MOST_NUMBERS", 3 * 5**3 * 7)  # seven points at a time
    close(rank_race.marginals(scores), want, 1e-14)
