"""Sound relaxations of orders, with and without a discrete distribution."""

from __future__ import annotations

import itertools
import math

import torch
from torch.distributions.constraints import Constraint, independent

from relaxit import Capabilities, DiscreteDistribution, PerturbAndRelax, constraints, noise
from relaxit.categorical.distributions import one_hot
from relaxit.temperature import divide_by_temperature


class Order(PerturbAndRelax):
    """An order of three by descending score: Plackett-Luce, relaxed by SoftSort (2006.16038).

    Params are scores ``[*batch, 3]``, values permutation matrices whose rows are ranks.
    """

    api = 1
    name = "order"
    capabilities = Capabilities(
        density=False, discrete_distribution=True, exact_rounding=True, compiles=False
    )
    event_shape = torch.Size((3, 3))
    param_shape = torch.Size((3,))
    support = independent(constraints.simplex, 1)
    log_cardinality = math.log(6)

    @property
    def vertices(self):
        return Permutation()

    def relax(self, scores, temperature):
        # Divided here, while the temperature has only one event dimension to broadcast over.
        scaled = divide_by_temperature(scores, temperature)
        ranked = scaled.sort(dim=-1, descending=True, stable=True).values
        return (-(ranked.unsqueeze(-1) - scaled.unsqueeze(-2)).abs()).softmax(-1)

    def argmax(self, scores):
        return one_hot(scores.argsort(dim=-1, descending=True, stable=True), 3, scores.dtype)

    def hard(self, soft):
        listed = permutations(soft)
        best = torch.einsum("...ij,nij->...n", soft.double(), listed.double()).argmax(-1)
        return listed[best]

    def discrete(self, params):
        return PlackettLuce(self, params)


class Permutation(Constraint):
    """Matrices of zeros and ones with a single one in every row and column."""

    event_dim = 2
    is_discrete = True

    def check(self, value):
        lines = (value.sum(-1) == 1).all(-1) & (value.sum(-2) == 1).all(-1)
        return lines & ((value == 0) | (value == 1)).flatten(-2).all(-1)


def permutations(like):
    """All six matrices, ``[6, 3, 3]``."""
    rows = torch.tensor(list(itertools.permutations(range(3))), device=like.device)
    return one_hot(rows, 3, like.dtype)


class PlackettLuce(DiscreteDistribution):
    """Distribution of the orders: ranks are drawn one after the other without replacement."""

    def _log_prob(self, value):
        ranked = (value * self.scores.unsqueeze(-2)).sum(-1)
        rest = ranked.flip(-1).logcumsumexp(-1).flip(-1)
        return (ranked - rest).sum(-1)

    def _masses(self):
        return torch.stack([self._log_prob(p) for p in permutations(self.scores)], -1)

    def _mean(self):
        weighted = self._masses().exp()[..., None, None] * permutations(self.scores)
        return weighted.sum(-3)

    def _mode(self):
        best = self.params.argsort(dim=-1, descending=True, stable=True)
        return one_hot(best, 3, self.params.dtype)

    def entropy(self):
        log = self._masses()
        return -(log.exp() * log).sum(-1)

    def _enumerate_support(self):
        return permutations(self.params)

    def _sample(self, shape, generator=None):
        drawn = noise.gumbel(
            shape + self.scores.shape,
            dtype=self.scores.dtype,
            device=self.scores.device,
            generator=generator,
        )
        order = (self.scores + drawn).argsort(dim=-1, descending=True)
        return one_hot(order, 3, self.params.dtype)


class OrderWithoutDistribution(Order):
    """Orders without a discrete distribution, but with their list and an upper bound of the KL."""

    name = "order-without-distribution"
    capabilities = Capabilities(
        density=False, discrete_distribution=False, exact_rounding=False, compiles=False
    )

    def discrete(self, params):
        raise self.unsupported("discrete")

    def enumerate_vertices(self):
        return permutations(torch.zeros((), dtype=torch.float64))

    def kl_to_uniform(self, params):
        return 0.1 + math.log(6) - PlackettLuce(self, params).entropy()


SOUND = [Order(), OrderWithoutDistribution()]
