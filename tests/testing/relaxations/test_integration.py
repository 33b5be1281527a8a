"""Integrals of densities over the support of soft samples."""

from __future__ import annotations

import math

import pytest
import torch

from relaxit.testing.case import RelaxationCase
from relaxit.testing.relaxations.integration import free_dimension, weigh
from tests.testing.broken.relaxations import density
from tests.testing.sound import choices


@pytest.mark.parametrize("categories", [2, 3, 5, 7])
def test_integrals_on_the_simplex(categories):
    case = RelaxationCase(choices.Concrete(categories=categories))
    assert free_dimension(case) == categories - 1
    integral, error = weigh(case, case.params(), 2.0 * (categories - 1)).integral
    assert error < 0.02
    assert abs(integral - 1) < 4.5 * error + 1e-3


def test_moments_under_a_density_are_self_normalised():
    case = RelaxationCase(choices.Density(categories=3))
    right, wrong = (
        weigh(RelaxationCase(each), case.params(), 2.0)
        for each in (case.subject, density.ForgottenConstant(categories=3))
    )
    rows = right.points[:, :1]
    assert torch.allclose(right.mean(rows)[0], wrong.mean(rows)[0])
    assert wrong.integral[0] == pytest.approx(right.integral[0] / math.gamma(3))
