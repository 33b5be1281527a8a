"""A relaxation that offers nothing but samples: what an estimator may not take for granted."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit import constraints
from relaxit.perturb import PerturbAndRelax
from relaxit.relaxation import Capabilities

__all__ = ["Bare"]


class Bare(PerturbAndRelax):
    """One of three, without a law, a density or a mass."""

    api = 1
    name = "bare"
    summary = "one of three, samples only"
    capabilities = Capabilities(density=False, discrete_law=False, exact_rounding=False)
    event_shape = torch.Size((3,))
    param_shape = torch.Size((3,))
    support = constraints.simplex
    vertices = constraints.one_hot

    def relax(self, scores: Tensor, temperature: float | Tensor) -> Tensor:
        return torch.softmax(scores / temperature, -1)

    def argmax(self, scores: Tensor) -> Tensor:
        best = scores.argmax(-1, keepdim=True)
        return (torch.arange(3, device=scores.device) == best).to(scores.dtype)
