"""A sound relaxation that is no perturb-and-relax, and whose soft samples jump."""

from __future__ import annotations

import itertools

import torch
from torch.distributions.constraints import independent

from relaxit import Capabilities, Relaxation, constraints, noise
from relaxit.dtypes import compute_dtype


class Follows(Relaxation):
    """Two bits, the second drawn given the hard value of the first.

    Params are the logit of the first bit, and those of the second after a 0 and after a 1.
    """

    api = 1
    name = "follows"
    capabilities = Capabilities(
        density=False, discrete_distribution=False, exact_rounding=False, compiles=False
    )
    event_shape = torch.Size((2,))
    param_shape = torch.Size((3,))
    support = independent(constraints.unit_interval, 1)
    vertices = independent(constraints.boolean, 1)

    def hard(self, soft):
        return (soft > 0.5).to(soft.dtype)

    def draw(self, params, temperature, shape=torch.Size(), generator=None):
        scores = params.to(compute_dtype(params.dtype))
        like = {"dtype": scores.dtype, "device": scores.device}
        full = shape + params.shape[:-1] + self.event_shape
        drawn = noise.logistic(full, **like, generator=generator)
        first = scores[..., 0] + drawn[..., 0]
        second = torch.where(first > 0, scores[..., 2], scores[..., 1]) + drawn[..., 1]
        both = torch.stack([first, second], -1)
        return (both / temperature).sigmoid().to(params.dtype), (both > 0).to(params.dtype)

    def rsample(self, params, temperature, shape=torch.Size(), generator=None):
        return self.draw(params, temperature, shape, generator)[0]

    def enumerate_vertices(self):
        return torch.tensor(list(itertools.product((0.0, 1.0), repeat=2)))


SOUND = [Follows()]
