"""Costs that are polynomials of values, of a given degree."""

from __future__ import annotations

import torch

from tests.helpers import seed


def weights_for(relaxation):
    """Fixed random weights ``[*event]``."""
    return torch.randn(relaxation.event_shape, generator=seed(11), dtype=torch.float64) + 0.5


def power_cost(relaxation, power):
    """(w.z + 1/4) ** power of each value of a batch: linear, quadratic or cubic in z."""
    weights, rank = weights_for(relaxation), len(relaxation.event_shape)

    def cost(z):
        terms = weights.to(z.dtype) * z
        dot = terms.flatten(z.dim() - rank).sum(-1) if rank else terms
        return (dot + 0.25) ** power

    return cost


def cubic(relaxation, variables):
    """A cubic cost of several variables that does not separate into costs of one each."""
    weights = torch.randn(variables, *relaxation.event_shape, generator=seed(11)).double()

    def cost(z):
        dot = (weights.to(z.dtype) * z).flatten(z.dim() - weights.dim()).sum(-1)
        return (dot + 0.25) ** 3 + 2

    return cost
