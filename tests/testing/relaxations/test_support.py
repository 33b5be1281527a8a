"""By how much soft samples are outside of support, for several constraints."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import constraints

import relaxit
from relaxit.testing.case import RelaxationCase
from relaxit.testing.check import Failed
from relaxit.testing.relaxations.support import distance_outside, require_in_support
from tests.testing.sound.at_most_one import AtMostOne
from tests.testing.sound.choices import Choice
from tests.testing.sound.orders import OrderWithoutDistribution

SIMPLEX, CUBE, ORDERS, BIT = (
    RelaxationCase(r)
    for r in (Choice(size=3), AtMostOne(), OrderWithoutDistribution(), relaxit.get("binary"))
)
SOFT = {
    "a sum that is wrong by 0.003": (SIMPLEX, [0.5, 0.3, 0.203], 0.003 / 3**0.5),
    "an entry that is negative": (SIMPLEX, [0.6, 0.41, -0.01], 0.012),
    "an entry above one": (CUBE, [0.2, 1.01, 0.2], 0.01),
    "a row that is wrong by 0.06": (
        ORDERS,
        [[0.8, 0.1, 0.16], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]],
        0.06 / 3**0.5,
    ),
    "far away": (BIT, 3.0, 2.0),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", SOFT)
def test_the_distance_is_a_close_upper_bound(name, dtype):
    case, values, nearest = SOFT[name]
    soft = torch.tensor([values], dtype=dtype)
    assert not bool(case.relaxation.support.check(soft).any())
    bound = float(distance_outside(case, soft).removeprefix("by at most "))
    assert nearest <= 1.03 * bound  # two digits are printed
    assert bound <= 2 * nearest


def test_the_message_counts_samples_and_names_the_worst():
    soft = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.3], [0.5, 0.5, 0.003]])
    said = r"2 of 3 soft samples are outside support, by at most 0\.17 \(here\)"
    with pytest.raises(Failed, match=said):
        require_in_support(SIMPLEX, soft, where="here")
    require_in_support(SIMPLEX, soft[:1])


def test_samples_that_are_not_finite_have_no_distance():
    soft = torch.tensor([[torch.nan, 0.0, 0.0]])
    with pytest.raises(Failed, match="a sample is outside support, not finite"):
        require_in_support(SIMPLEX, soft, "a sample")


class Nowhere(Choice):
    """A support that accepts nothing."""

    support = constraints.independent(constraints.less_than(-9.0), 1)


def test_a_support_that_rejects_the_mean_of_the_values_is_named():
    with pytest.raises(Failed, match="and so is the mean of the values"):
        require_in_support(RelaxationCase(Nowhere()), torch.zeros(1, 3))
