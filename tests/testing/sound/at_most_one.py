"""A sound relaxation whose params do not have the shape of its values."""

from __future__ import annotations

import torch
from torch.distributions.constraints import independent

from relaxit import Capabilities, PerturbAndRelax, constraints
from relaxit.temperature import divide_by_temperature

NONE_OR_ONE = torch.cat([torch.zeros(1, 3), torch.eye(3)])


class AtMostOne(PerturbAndRelax):
    """None or one of three items; params score the four values."""

    api = 1
    name = "at-most-one"
    capabilities = Capabilities(
        density=False, discrete_distribution=False, exact_rounding=True, compiles=False
    )
    param_shape = torch.Size((4,))
    event_shape = torch.Size((3,))
    support = independent(constraints.unit_interval, 1)
    vertices = constraints.one_of(NONE_OR_ONE)

    def relax(self, scores, temperature):
        return divide_by_temperature(scores, temperature).softmax(-1)[..., 1:]

    def argmax(self, scores):
        return best_of(scores)

    def hard(self, soft):
        # The item above one half, if there is one.
        return best_of(torch.cat([torch.full_like(soft[..., :1], 0.5), soft], -1))

    def enumerate_vertices(self):
        return NONE_OR_ONE


def best_of(scores):
    """The value of the highest of four scores."""
    return NONE_OR_ONE.to(scores)[scores.argmax(-1)]


SOUND = [AtMostOne()]
