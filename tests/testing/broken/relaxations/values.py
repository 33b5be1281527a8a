"""Relaxations with soft or hard samples in the wrong places."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.distributions.constraints import independent, real_vector

from relaxit import constraints
from relaxit.autograd import replace_gradient
from relaxit.categorical.distributions import one_hot
from tests.testing.sound.choices import Choice
from tests.testing.sound.orders import Order


class WideVertices(Choice):
    """Takes any zeros and ones for a value."""

    caught_by = "vertices_takes_no_other"
    vertices = independent(constraints.boolean, 1)


class WideSupport(Choice):
    """Takes any vector for a soft value."""

    caught_by = "support_ends_at_the_vertices"
    support = real_vector


class OffTheSimplex(Choice):
    """An eps added to the weights after they were normalised."""

    caught_by = "soft_in_support"

    def relax(self, scores, temperature):
        return super().relax(scores, temperature) + 1e-3


class NearlyHard(Choice):
    """``(hard + soft) - soft`` for the hard value, which rounding moves off the vertex."""

    caught_by = "hard_in_vertices"

    def draw(self, params, temperature, shape=torch.Size(), generator=None):
        soft, hard = super().draw(params, temperature, shape, generator)
        return soft, (hard + soft - soft).detach()


class HardMovesOn(Choice):
    """``hard`` of a vertex is the next vertex: not a projection."""

    caught_by = "hard_of_hard_is_itself"

    def hard(self, soft):
        hard = super().hard(soft)
        return torch.where((soft == hard).all(-1, keepdim=True), hard.roll(1, -1), hard)


class RandomTies(Choice):
    """Breaks ties by the random generator."""

    caught_by = "hard_is_a_function"

    def hard(self, soft):
        return super().hard(soft + 1e-9 * torch.rand_like(soft))


class HardAtAnotherThreshold(Choice):
    """Rounds to the first vertex too often."""

    caught_by = "hard_is_the_nearest_vertex"

    def hard(self, soft):
        lead = torch.zeros_like(soft)
        lead[..., 0] = 0.02
        return super().hard(soft + lead)


class AttachedHard(Choice):
    """The structure makes the hard value straight-through, which is for the estimator to choose."""

    caught_by = "hard_carries_no_gradient"

    def draw(self, params, temperature, shape=torch.Size(), generator=None):
        soft, hard = super().draw(params, temperature, shape, generator)
        return soft, replace_gradient(hard, soft)


class IgnoresTemperature(Choice):
    """Softmax of the scores at whatever temperature (the tutorial that shifts by it instead)."""

    caught_by = "low_temperature_gives_hard_values"

    def relax(self, scores, temperature):
        return scores.softmax(-1)


class FreshNoiseForHard(Choice):
    """The hard value of a draw comes from noise of its own."""

    caught_by = "draw_shares_its_noise"

    def draw(self, params, temperature, shape=torch.Size(), generator=None):
        soft = self.rsample(params, temperature, shape, generator)
        scores = self.perturb(params.detach(), shape, generator)
        return soft, self.argmax(scores).to(params.dtype)


class RepeatedColumn(Order):
    """The best entry of every row: ties give a column twice, and no permutation."""

    caught_by = "ties_give_a_vertex"
    capabilities = replace(Order.capabilities, dtypes=(torch.float64,))

    def hard(self, soft):
        return one_hot(soft.argmax(-1), 3, soft.dtype)


BROKEN = [
    WideVertices(),
    WideSupport(),
    OffTheSimplex(),
    NearlyHard(),
    HardMovesOn(),
    RandomTies(),
    HardAtAnotherThreshold(),
    AttachedHard(),
    IgnoresTemperature(),
    FreshNoiseForHard(),
    RepeatedColumn(),
]
