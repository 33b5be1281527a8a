"""Our own relaxations as parameters of tests, and the probabilities of their values."""

from __future__ import annotations

import pytest
import torch

from tests.helpers import relaxations_with, structures

ALL = pytest.mark.parametrize("relaxation", structures(), ids=repr)
DENSITY = pytest.mark.parametrize("relaxation", relaxations_with("density"), ids=repr)
DISCRETE = pytest.mark.parametrize(
    "relaxation", relaxations_with("discrete_distribution"), ids=repr
)
COMPILES = pytest.mark.parametrize("relaxation", relaxations_with("compiles"), ids=repr)
EXACT = pytest.mark.parametrize(
    "relaxation",
    [r for r in relaxations_with("discrete_distribution") if r.capabilities.exact_rounding],
    ids=repr,
)


def support_of(relaxation):
    """All values, ``[values, *event]``."""
    zeros = torch.zeros(relaxation.param_shape)
    return relaxation.discrete(zeros).enumerate_support()


def masses(relaxation, params):
    """Probability of every value ``[values, *batch]``, from the mass function."""
    distribution = relaxation.discrete(params)
    return distribution.log_prob(distribution.enumerate_support()).exp()


def nudged(relaxation, params):
    """Params under which the most probable value gains about 2 % of mass."""
    distribution = relaxation.discrete(params)
    top = distribution.mode
    leaf = params.clone().requires_grad_()
    (slope,) = torch.autograd.grad(relaxation.discrete(leaf).log_prob(top), leaf)
    return params + slope * 0.02 / slope.square().sum()
