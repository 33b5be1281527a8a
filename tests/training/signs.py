"""A relaxation that exists in the tests only: a variable that is -1 or +1."""

from __future__ import annotations

import math

import torch
from torch.distributions import Distribution, constraints

from relaxit import Capabilities, PerturbAndRelax, noise


class SignDistribution(Distribution):
    arg_constraints = {}

    def __init__(self, params):
        self.params = params
        super().__init__(params.shape[:-1], params.shape[-1:], validate_args=False)

    def sample(self, sample_shape=torch.Size(), generator=None):
        shape = torch.Size(sample_shape) + self.params.shape
        u = torch.rand(shape, device=self.params.device, generator=generator)
        return torch.where(u < self.params.sigmoid(), 1.0, -1.0).to(self.params.dtype)

    @property
    def mean(self):
        return torch.tanh(self.params / 2)

    def log_prob(self, value):
        return torch.nn.functional.logsigmoid(value * self.params).sum(-1)

    def entropy(self):
        p = self.params.sigmoid()
        return torch.special.entr(p).sum(-1) + torch.special.entr(1 - p).sum(-1)


class Sign(PerturbAndRelax):
    api = 1
    name = "test-sign"
    summary = "minus or plus one"
    capabilities = Capabilities(density=False, discrete_distribution=True, exact_rounding=True)
    event_shape = torch.Size([1])
    param_shape = torch.Size([1])
    support = constraints.independent(constraints.interval(-1, 1), 1)
    vertices = constraints.independent(constraints.interval(-1, 1), 1)
    log_cardinality = math.log(2)
    noise = staticmethod(noise.logistic)

    def relax(self, scores, temperature):
        return torch.tanh(scores / (2 * temperature))

    def argmax(self, scores):
        return torch.where(scores > 0, 1.0, -1.0).to(scores.dtype)

    def discrete(self, params):
        return SignDistribution(params)
