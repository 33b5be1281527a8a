"""Frequencies of exact draws and of hard samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from permutation_helpers import normal, seed
from plackett_luce_oracles import distribution, log_masses, orders, wrong_orders
from scipy import stats
from torch import Tensor

from relaxit.testing import ALPHA, wrong_frequencies
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce


def wrong_distributions(scores: Tensor) -> dict[str, Tensor]:
    """Log-masses of distributions that are easily taken for this one."""
    right = log_masses(scores)
    back = dict(zip(orders(len(scores)), right, strict=True))
    inverse = [back[tuple(int(i) for i in np.argsort(order))] for order in orders(len(scores))]
    return {
        "ascending": torch.stack([back[order[::-1]] for order in orders(len(scores))]),
        "transposed": torch.stack(inverse),
        "too cold": log_masses(scores * 1.1),
        "from the last on": torch.stack(
            [mass for order in orders(len(scores)) for mass in [_from_the_last(scores, order)]]
        ),
    }


def _from_the_last(scores: Tensor, order: tuple[int, ...]) -> Tensor:
    """The worst is chosen first, in proportion to exp(-score): another distribution."""
    return sum((-scores[list(order[: m + 1])]).log_softmax(-1)[-1] for m in range(len(order)))


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_draws_and_hard_values_follow_the_mass(n):
    scores = normal(n, number=4) * 1.5
    structure, mass = PermutationPlackettLuce(n=n), log_masses(scores)
    drawn = structure.discrete(scores).sample((40_000,), seed(1))
    assert not wrong_orders(drawn, mass)
    for temperature in (0.1, 5.0):
        assert not wrong_orders(structure(scores, temperature).draw((40_000,), seed(2))[1], mass)
    assert not wrong_orders(
        structure(scores.float(), 1.0).draw((40_000,), seed(3))[1].double(), mass
    )
    for name, wrong in wrong_distributions(scores).items():
        same = n == 2 and name in ("transposed", "from the last on")  # there they are the same
        assert (not wrong_orders(drawn, wrong)) == same, name


def test_frequencies_of_many_items_are_the_marginals():
    # n = 14: by the integral. alpha = ALPHA in all.
    scores = normal(14)
    p = distribution(scores).mean
    drawn = distribution(scores).sample((20_000,), seed(1)).mean(0)
    spread = (p * (1 - p) / 20_000).sqrt() + 1e-4
    bound = stats.norm.isf(ALPHA / 2 / 14**2)
    assert float(((drawn - p) / spread).abs().max()) < bound
    assert float(((drawn.T - p) / spread).abs().max()) > bound


def test_rows_of_a_batch_are_independent():
    both = distribution(torch.zeros(2, 2)).sample((20_000,), seed(1))[..., 0, 0]
    joint = torch.bincount((2 * both[:, 0] + both[:, 1]).long(), minlength=4)
    assert not wrong_frequencies(joint, torch.ones(4))
