"""The KL divergence from uniform: exact for few items, for training a bound for many."""

from __future__ import annotations

import math

import pytest
import torch
from permutation_helpers import close, normal, seed
from plackett_luce_oracles import distribution
from scipy import optimize
from torch import Tensor

from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce


@pytest.mark.parametrize("n", [1, 2, 4, 6])
def test_bound_of_the_divergence(n, monkeypatch):
    structure = PermutationPlackettLuce(n=n)
    scores = torch.cat([normal(25, n) * s for s in (1e-3, 0.1, 1.0, 5.0)])
    exact = structure.kl_to_uniform(scores)
    assert structure.kl_is_exact
    monkeypatch.setattr("relaxit_permutation.plackett_luce.permutation_plackett_luce.MOST_EXACT", 0)
    assert not structure.kl_is_exact
    bound = structure.kl_to_uniform(scores)
    assert bool((bound >= exact - 1e-13).all())
    if n > 1:
        assert bool((bound[25:] > exact[25:]).all())  # it is the bound, and not the sum
    small = scores[:25] - scores[:25].mean(-1, keepdim=True)
    close(bound[:25], small.square().sum(-1) / 2, 1e-7)
    close(structure.kl_to_uniform(scores + 3), bound, 1e-11, 1e-11)
    close(structure.kl_to_uniform(torch.zeros(n)), torch.zeros(()), 1e-6)


def test_bound_is_that_of_the_noise():
    # KL between Gumbels at s + c and at 0, by quadrature, minimal over c.
    scores = normal(13) * 0.7
    x = torch.linspace(-40, 60, 20_001, dtype=torch.float64)

    def gumbel(at: Tensor) -> Tensor:
        return -(x - at.unsqueeze(-1)) - torch.exp(-(x - at.unsqueeze(-1)))

    def divergence(shift: float) -> float:
        p = gumbel(scores + shift)
        return float((p.exp() * (p - gumbel(torch.zeros(1).double()))).sum() * 100 / 20_000)

    best = optimize.minimize_scalar(divergence, bounds=(-5, 5), method="bounded").fun
    got = float(PermutationPlackettLuce(n=13).kl_to_uniform(scores))
    assert got == pytest.approx(best, abs=1e-5)


def test_exact_up_to_twelve():
    exact = {n: PermutationPlackettLuce(n=n).kl_is_exact for n in (1, 12, 13, 40)}
    assert exact == {1: True, 12: True, 13: False, 40: False}
    zeros = torch.zeros(12, dtype=torch.float64)
    assert float(distribution(zeros).entropy()) == pytest.approx(math.lgamma(13), abs=1e-12)
    leaf = normal(13).requires_grad_()
    bound = PermutationPlackettLuce(n=13)(leaf).kl_to_uniform()
    estimate, error = distribution(leaf).kl_estimate(
        distribution(torch.zeros(13).double()), 500, seed(1)
    )
    assert float(bound.detach()) > float((estimate + 4 * error).detach())
    (slope,) = torch.autograd.grad(bound, leaf)
    assert bool(slope.isfinite().all())
    assert float(slope.sum()) == pytest.approx(0, abs=1e-12)
